-- KEYS: names   ARGV: from, to, entries at most, bytes at most, what values' keys begin with
-- Answers {'end' | 'more' | 'on', where to go on, name, value, version, end, ...}; 'on' after many names without a value.
local told, count, bytes, from = { 'end', '' }, 0, 0, ARGV[1]
local limit, most = tonumber(ARGV[3]), tonumber(ARGV[4])
for _ = 1, 10 do
  local names = redis.call('ZRANGEBYLEX', KEYS[1], from, ARGV[2], 'LIMIT', 0, 500)
  for _, name in ipairs(names) do
    local held = redis.call('HMGET', ARGV[5] .. name, 'v', 'n', 'e')
    if held[1] then
      bytes = bytes + #held[1] + #name + 160
      if count == limit or (count > 0 and bytes > most) then
        told[1] = 'more'
        return told
      end
      count = count + 1
      for _, part in ipairs({ name, held[1], held[2], held[3] }) do told[#told + 1] = part end
    end
    from = '(' .. name
  end
  if #names < 500 then return told end
end
told[1], told[2] = 'on', from
return told
