-- KEYS: value, names, ends   ARGV: name, expected
-- Answers {'gone', 1 or 0}, or {'conflict', version or ''}.
local held = redis.call('HGET', KEYS[1], 'n')
local expected = ARGV[2]
if (expected == 'absent' and held) or (expected ~= 'absent' and expected ~= '' and expected ~= held) then
  return { 'conflict', held or '' }
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return { 'gone', redis.call('DEL', KEYS[1]) }
