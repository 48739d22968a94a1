-- KEYS: value, names, ends, version   ARGV: name, expected, value, time to live in us or '', entries at most
-- Answers {'kept', version}, {'conflict', version or ''}, or {'full'}.
local held = redis.call('HGET', KEYS[1], 'n')
local expected = ARGV[2]
if (expected == 'absent' and held) or (expected ~= 'absent' and expected ~= '' and expected ~= held) then
  return { 'conflict', held or '' }
end
if not held and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return { 'full' }
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local version = tonumber(redis.call('GET', KEYS[4]) or '0') + 1
if version < now then version = now end
-- Whole numbers up to 2^53 are exact; the usual way to write them is not.
version = string.format('%.0f', version)
local ends = ''
if ARGV[4] ~= '' then ends = string.format('%.0f', now + tonumber(ARGV[4])) end
redis.call('HSET', KEYS[1], 'v', ARGV[3], 'n', version, 'e', ends)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
if ends == '' then
  redis.call('PERSIST', KEYS[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  local ends_ms = string.format('%.0f', math.ceil(tonumber(ends) / 1000))
  redis.call('PEXPIREAT', KEYS[1], ends_ms)
  redis.call('ZADD', KEYS[3], ends_ms, ARGV[1])
end
redis.call('SET', KEYS[4], version)
return { 'kept', version }
