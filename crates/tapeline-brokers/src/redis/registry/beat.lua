-- Renews a node's lease and what hangs on it, ends the leases that have run out, and says who lives.
-- KEYS[1] the leases; ARGV prefix, node, lease in ms, the node's row
-- Answers the time, whether what hangs on it was still there, nodes that are gone (each told to one node), nodes that live with
-- expiry and row, and pairs that have come to other nodes too.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, me, lease = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('EXISTS', prefix .. 'row:' .. me)
redis.call('ZADD', KEYS[1], now + lease, me)
redis.call('SET', prefix .. 'row:' .. me, ARGV[4], 'PX', lease)
for _, kind in ipairs({'seats:', 'counts:', 'heard:', 'tell:'}) do
  redis.call('PEXPIRE', prefix .. kind .. me, lease)
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, node in ipairs(gone) do
  redis.call('ZREM', KEYS[1], node)
  for _, kind in ipairs({'row:', 'seats:', 'counts:', 'heard:', 'tell:'}) do
    redis.call('UNLINK', prefix .. kind .. node)
  end
end
local live = {}
local nodes = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #nodes, 2 do
  if nodes[i] ~= me then
    live[#live + 1] = {nodes[i], nodes[i + 1], redis.call('GET', prefix .. 'row:' .. nodes[i]) or ''}
  end
end
return {now, held, gone, live, redis.call('SPOP', prefix .. 'tell:' .. me, 4096)}
