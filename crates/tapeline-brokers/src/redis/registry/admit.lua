-- Lets a connection of a pair in if all nodes that live have room for it together.
-- KEYS[1] the leases; ARGV prefix, node, lease in ms, pair, connections here with this one, subscriptions here, limit
-- Answers 1 or 0, connections elsewhere, subscriptions elsewhere.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, me, lease, pair = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local connections, subscriptions = 0, 0
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  local held = node ~= me and redis.call('HGET', prefix .. 'seats:' .. node, pair)
  if held then
    local c, s = string.match(held, '(%d+) (%d+)')
    connections, subscriptions = connections + c, subscriptions + s
    -- From now on that node wants to know what this one counts.
    redis.call('SADD', prefix .. 'tell:' .. node, pair)
    redis.call('PEXPIRE', prefix .. 'tell:' .. node, lease)
  end
end
-- Who asks lives, although its first beat may still be on its way.
redis.call('ZADD', KEYS[1], now + lease, me)
if connections + ARGV[5] > tonumber(ARGV[7]) then
  return {0, connections, subscriptions}
end
redis.call('HSET', prefix .. 'seats:' .. me, pair, ARGV[5] .. ' ' .. ARGV[6])
redis.call('PEXPIRE', prefix .. 'seats:' .. me, lease)
return {1, connections, subscriptions}
