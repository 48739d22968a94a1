-- Says where a channel stands and reads what it keeps. KEYS: meta, stream, index, rows, order of rows.
-- ARGV: 1 name, 2 row, 3 latest|history|table, 4 count and 5 age kept, 6 now, 7 fresh epoch, or '' where a channel that
-- is not there is not to be made, 8 ttl in ms, 9 after, or 'n' for the newest, 10 limit, 11 whose the caller knows it is.
-- Answers epoch, newest and oldest offset, whose it is, and the frames; of a whole table its newest frame and the rows
-- after it.
local name, print, kind, now, fresh, after, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6]), ARGV[7], ARGV[9],
  tonumber(ARGV[10])
local meta, stream = KEYS[1], KEYS[2]
local m = redis.call('HMGET', meta, 'e', 'f', 'o', 'x', 't', 'w')
local epoch, top, set_at = m[1], tonumber(m[3] or '0'), m[4]
if not epoch or m[2] ~= print then
  if fresh == '' then return { '', 0, 1, '', {} } end
  epoch = begin(meta, { stream, KEYS[4], KEYS[5] }, KEYS[3], name, print, fresh)
  top, set_at = 0, nil
end
local owner = m[2] == print and m[6] or ''
-- Whoever remembers it says so where Redis has lost it.
if owner == '' and fresh ~= '' and ARGV[11] ~= '' then
  owner = ARGV[11]
  redis.pcall('HSET', meta, 'w', owner)
end
if fresh ~= '' then live_on(meta, { stream, KEYS[4], KEYS[5] }, set_at, now, tonumber(ARGV[8]), true) end

local oldest_at = ARGV[5] ~= '' and now - tonumber(ARGV[5])
if kind == 'latest' then
  if top == 0 or (oldest_at and m[5] and tonumber(m[5]) < oldest_at) then return { epoch, top, top + 1, owner, {} } end
  local frame = redis.call('HGET', meta, 'l')
  if not frame then return { epoch, top, top + 1, owner, {} } end
  local wanted = limit > 0 and (after == 'n' or tonumber(after) < top)
  return { epoch, top, top, owner, wanted and { frame } or {} }
end

local function frames(from, to, most)
  local entries = most > 0 and redis.call('XRANGE', stream, from, to, 'COUNT', most) or {}
  for n, entry in ipairs(entries) do entries[n] = entry[2][6] end
  return entries
end
local function first(from)
  local entry = redis.call('XRANGE', stream, string.format('%.0f', from), '+', 'COUNT', 1)[1]
  return entry and tonumber(string.match(entry[1], '^%d+')) or top + 1
end

if kind == 'table' then
  if top == 0 then return { epoch, 0, 1, owner, {} } end
  if limit == 0 or (after ~= 'n' and tonumber(after) >= top) then return { epoch, top, top, owner, {} } end
  if after ~= 'n' and first(tonumber(after) + 1) == tonumber(after) + 1 then
    local since = frames(string.format('%.0f', tonumber(after) + 1), '+', 100000)
    return { epoch, top, top, owner, since }
  end
  local whole = {}
  for n, key in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
    whole[2 * n - 1], whole[2 * n] = key, redis.call('HGET', KEYS[4], key)
  end
  return { epoch, top, top, owner, frames(string.format('%.0f', top), '+', 1), whole }
end

local bound = math.max(top - tonumber(ARGV[4]), 0) + 1
if oldest_at then bound = math.max(bound, drop_aged(meta, stream, oldest_at)) end
if after == 'n' then
  local entry = redis.call('XREVRANGE', stream, '+', string.format('%.0f', bound), 'COUNT', math.min(limit, 1))[1]
  return { epoch, top, first(bound), owner, entry and limit > 0 and { entry[2][6] } or {} }
end
local from = math.max(tonumber(after) + 1, bound)
return { epoch, top, first(bound), owner, frames(string.format('%.0f', from), '+', limit) }
