-- What several scripts begin with: where a channel stands, and what is too old to be kept.
-- A meta hash holds: e epoch, o newest offset, f the row it counts by, x when its expiry was last set,
-- b bytes kept (where they are bounded), l and t the newest message and its time (where no history is kept),
-- c changes of rows and r bytes of rows (tables).

local function begin(meta, others, index, name, print, fresh)
  redis.call('DEL', meta, unpack(others))
  redis.call('HSET', meta, 'e', fresh, 'f', print, 'o', '0')
  redis.call('ZADD', index, 0, name)
  return fresh
end

-- Nothing expires by it while it is used: it is set again after a quarter of its time.
local function live_on(meta, others, set_at, now, ttl)
  if set_at and now - tonumber(set_at) < ttl * 250 then return end
  -- Reading goes on where Redis is out of memory and refuses this.
  redis.pcall('HSET', meta, 'x', string.format('%.0f', now))
  redis.call('PEXPIRE', meta, string.format('%.0f', ttl))
  for _, key in ipairs(others) do redis.call('PEXPIRE', key, string.format('%.0f', ttl)) end
end

local function drop(meta, stream, entries)
  local ids, bytes = {}, 0
  for n, entry in ipairs(entries) do
    ids[n] = entry[1]
    bytes = bytes + tonumber(entry[2][4])
  end
  redis.call('XDEL', stream, unpack(ids))
  if bytes > 0 then redis.call('HINCRBY', meta, 'b', -bytes) end
end

-- Entries hold: t time, n bytes of data, d the frame.
local function drop_aged(meta, stream, oldest_at)
  while true do
    local aged, entries = {}, redis.call('XRANGE', stream, '-', '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
      if tonumber(entry[2][2]) >= oldest_at then break end
      aged[#aged + 1] = entry
    end
    if #aged > 0 then drop(meta, stream, aged) end
    if #aged < 16 then return end
  end
end
