-- Takes names off a list whose channels have expired. KEYS: the list, then the meta of each. ARGV: the names.
for n, name in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[n + 1]) == 0 then redis.call('ZREM', KEYS[1], name) end
end
return 0
