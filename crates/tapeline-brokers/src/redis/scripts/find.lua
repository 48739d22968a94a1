-- Looks among the newest messages of a channel for some by their ids. KEYS: meta, stream. ARGV: 1 row, 2 how far back
-- in time, 3 how many messages at most. Answers the epoch, then offset and id of each message, the newest first.
local m = redis.call('HMGET', KEYS[1], 'e', 'f')
if not m[1] or m[2] ~= ARGV[1] then return { '' } end
local found, from, left = { m[1] }, '+', tonumber(ARGV[3])
while left > 0 do
  local entries = redis.call('XREVRANGE', KEYS[2], from, '-', 'COUNT', math.min(left, 64))
  for _, entry in ipairs(entries) do
    if tonumber(entry[2][2]) < tonumber(ARGV[2]) then return found end
    local how, more = string.match(entry[2][6], '^%S+ %S+ %S+ (%D)(%d+)')
    local ends = string.find(entry[2][6], '\n', 1, true)
    found[#found + 1] = string.match(entry[1], '^%d+')
    found[#found + 1] = string.sub(entry[2][6], ends + tonumber(more) + 1, ends + tonumber(more) + 16)
  end
  if #entries < 64 then return found end
  left, from = left - #entries, '(' .. entries[#entries][1]
end
return found
