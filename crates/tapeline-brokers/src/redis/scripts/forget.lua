-- Forgets a channel's messages up to an offset, in the roll-ups that count for themselves too. KEYS: meta, stream; then
-- meta and stream of each such roll-up. ARGV: 1 name, 2 row, 3 latest|history|table, 4 count and 5 age kept, 6 now,
-- 7 through. Answers how many messages of the channel that were.
local name, kind, now, through = ARGV[1], ARGV[3], tonumber(ARGV[6]), tonumber(ARGV[7])
local m = redis.call('HMGET', KEYS[1], 'e', 'f', 'o', 't')
local epoch, top = m[1], tonumber(m[3] or '0')
if not epoch or m[2] ~= ARGV[2] or kind == 'table' then return 0 end
through = math.min(through, top)

local oldest_at = ARGV[5] ~= '' and now - tonumber(ARGV[5])
local forgotten = 0
if kind == 'latest' then
  if through < top or redis.call('HEXISTS', KEYS[1], 'l') == 0 then return 0 end
  redis.call('HDEL', KEYS[1], 'l')
  forgotten = (oldest_at and tonumber(m[4]) < oldest_at) and 0 or 1
else
  if oldest_at then drop_aged(KEYS[1], KEYS[2], oldest_at) end
  local bound = math.max(top - tonumber(ARGV[4]), 0) + 1
  while true do
    local entries = redis.call('XRANGE', KEYS[2], '-', string.format('%.0f', through), 'COUNT', 256)
    for _, entry in ipairs(entries) do
      if tonumber(string.match(entry[1], '^%d+')) >= bound then forgotten = forgotten + 1 end
    end
    if #entries > 0 and not drop(KEYS[1], KEYS[2], entries) then
      return redis.error_reply('ERR nothing is forgotten while redis refuses writes')
    end
    if #entries < 256 then break end
  end
end

for at = 3, #KEYS, 2 do
  local from = '-'
  while true do
    local entries, gone = redis.call('XRANGE', KEYS[at + 1], from, '+', 'COUNT', 256), {}
    for _, entry in ipairs(entries) do
      local off, of, called = string.match(entry[2][6], '^1 (%d+) (%S+) %S+ ([^ \n]+)')
      if called == name and of == epoch and tonumber(off) <= through then gone[#gone + 1] = entry end
    end
    if #gone > 0 then drop(KEYS[at], KEYS[at + 1], gone) end
    if #entries < 256 then break end
    from = '(' .. entries[#entries][1]
  end
end
return forgotten
