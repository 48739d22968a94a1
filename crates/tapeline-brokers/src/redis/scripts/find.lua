-- Looks among the newest messages of a channel for some by their ids. KEYS: meta, stream. ARGV: 1 row, 2 and 3 the epoch
-- and offset that was seen before any of them was sent, 4 the time before which none was made, 5 how many messages at most.
-- Answers the epoch, whether it looked back far enough, then offset and id of each message, the newest first.
-- Far enough: all since the offset that was seen, or so many in a row that are older that it is not another hub's clock.
local m = redis.call('HMGET', KEYS[1], 'e', 'f', 'o')
if not m[1] or m[2] ~= ARGV[1] then return { '', 1 } end
local after = m[1] == ARGV[2] and tonumber(ARGV[3]) or 0
local missing = tonumber(m[3] or '0') - after
local found, from, left, older = { m[1], 0 }, '+', tonumber(ARGV[5]), 0
while missing > 0 and left > 0 and older < 256 do
  local entries = redis.call('XREVRANGE', KEYS[2], from, string.format('%.0f', after + 1), 'COUNT', math.min(left, 64))
  for _, entry in ipairs(entries) do
    older = tonumber(entry[2][2]) < tonumber(ARGV[4]) and older + 1 or 0
    local more = string.match(entry[2][6], '^%S+ %S+ %S+ %D(%d+)')
    local ends = string.find(entry[2][6], '\n', 1, true)
    found[#found + 1] = string.match(entry[1], '^%d+')
    found[#found + 1] = string.sub(entry[2][6], ends + tonumber(more) + 1, ends + tonumber(more) + 16)
  end
  missing, left = missing - #entries, left - #entries
  if #entries < 64 then break end
  from = '(' .. entries[#entries][1]
end
if missing <= 0 or older >= 256 then found[2] = 1 end
return found
