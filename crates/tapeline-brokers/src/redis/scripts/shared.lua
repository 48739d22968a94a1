-- What several scripts begin with: where a channel stands, and what is too old to be kept.
-- A meta hash holds: e epoch, o newest offset, f the row it counts by, x when its expiry was last set,
-- b bytes kept (where they are bounded), l and t the newest message and its time (where no history is kept),
-- c changes of rows and r bytes of rows (tables), w whose it is (families that are read by their channels' owners).

local function begin(meta, others, index, name, print, fresh)
  redis.call('DEL', meta, unpack(others))
  redis.call('HSET', meta, 'e', fresh, 'f', print, 'o', '0')
  redis.call('ZADD', index, 0, name)
  return fresh
end

-- Nothing expires by it while it is used: it is set again after a quarter of its time. Where some of the others may have
-- been made since it was set, those are found that never would. Reading goes on where Redis refuses writes.
local function live_on(meta, others, set_at, now, ttl, made)
  local life = string.format('%.0f', ttl)
  local early = set_at and now - tonumber(set_at) < ttl * 250
  if early and not made then return end
  if not early then
    redis.pcall('HSET', meta, 'x', string.format('%.0f', now))
    redis.pcall('PEXPIRE', meta, life)
  end
  for _, key in ipairs(others) do
    if not early or redis.call('PTTL', key) == -1 then redis.pcall('PEXPIRE', key, life) end
  end
end

-- Where Redis refuses writes nothing is dropped, and the answer is false.
local function drop(meta, stream, entries)
  local ids, bytes = {}, 0
  for n, entry in ipairs(entries) do
    ids[n] = entry[1]
    bytes = bytes + tonumber(entry[2][4])
  end
  if type(redis.pcall('XDEL', stream, unpack(ids))) == 'table' then return false end
  if bytes > 0 then redis.pcall('HINCRBY', meta, 'b', -bytes) end
  return true
end

-- Entries hold: t time, n bytes of data, d the frame. Answers the offset from which on they are young enough, where the
-- older ones are still there.
local function drop_aged(meta, stream, oldest_at)
  local from, bound = '-', 0
  while true do
    local aged, entries = {}, redis.call('XRANGE', stream, from, '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
      if tonumber(entry[2][2]) >= oldest_at then break end
      aged[#aged + 1] = entry
    end
    if #aged > 0 and not drop(meta, stream, aged) then
      from = '(' .. aged[#aged][1]
      bound = tonumber(string.match(aged[#aged][1], '^%d+')) + 1
    end
    if #aged < 16 then return bound end
  end
end
