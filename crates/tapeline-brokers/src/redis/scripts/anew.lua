-- Begins a channel anew, once, that a node has seen farther on than it stands. KEYS: meta, stream, index, rows, order.
-- ARGV: 1 name, 2 row, 3 the epoch and 4 the offset that it was found to stand at, 5 fresh epoch.
local m = redis.call('HMGET', KEYS[1], 'e', 'o')
if m[1] ~= ARGV[3] or tonumber(m[2] or '0') ~= tonumber(ARGV[4]) then return 0 end
begin(KEYS[1], { KEYS[2], KEYS[4], KEYS[5] }, KEYS[3], ARGV[1], ARGV[2], ARGV[5])
return 1
