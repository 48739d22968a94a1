-- KEYS: names, ends   ARGV: what values' keys begin with, how many names at most
-- Lets go of the names of values that have expired; answers of how many.
local time = redis.call('TIME')
local now_ms = math.floor(time[1] * 1000 + time[2] / 1000)
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[2])
local gone = 0
for _, name in ipairs(names) do
  if redis.call('EXISTS', ARGV[1] .. name) == 0 then
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
    gone = gone + 1
  end
end
return gone
