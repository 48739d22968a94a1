-- Begins a channel anew that lacks what a node has seen of this epoch, unless somebody has done so. KEYS: meta, stream,
-- index, rows, order. ARGV: 1 name, 2 row, 3 the epoch, 4 fresh epoch.
local m = redis.call('HMGET', KEYS[1], 'e', 'w')
if m[1] ~= ARGV[3] then return 0 end
begin(KEYS[1], { KEYS[2], KEYS[4], KEYS[5] }, KEYS[3], ARGV[1], ARGV[2], ARGV[4])
if m[2] then redis.call('HSET', KEYS[1], 'w', m[2]) end
return 1
