-- Publishes one draft. KEYS: meta, stream, index, idempotency key, rows, order of rows; then for each roll-up its
-- sources and, if it counts for itself, its meta, stream and index.
-- ARGV: 1 name, 2 the rest of the frame, 3 time, 4 fresh epoch, 5 row, 6 latest|history|table, 7 bytes of data,
-- 8 count, 9 bytes and 10 age kept ('' for no bound), 11 ttl in ms, 12 expiry of the idempotency key in us or '',
-- 13 id, 14 only if newer, 15 mirrored, 16 and 17 the epoch and offset that the publisher has seen of the channel,
-- 18 whose it says the channel is and 19 whose it knows it is, or '', 20 roll-ups; for each: name, counts, row, count, bytes, age, ttl, and if it counts the epoch and offset seen of it;
-- for a table then: whole, whether arrays can say that they are removed, rows; for each: key, from, length or 0.
local name, body, ts, fresh, print, kind, size = unpack(ARGV, 1, 7)
local now = tonumber(ts)

if ARGV[12] ~= '' then
  local known = redis.call('GET', KEYS[4])
  if known then
    local at, off, epoch, id = string.match(known, '^(%d+) (%d+) (%S+) (%S+)$')
    if at and now - tonumber(at) < tonumber(ARGV[12]) then return { tonumber(off), epoch, id } end
  end
end

-- The first owner of a channel stays. Whoever remembers it says so where Redis has lost it.
if ARGV[18] ~= '' then
  local m = redis.call('HMGET', KEYS[1], 'f', 'w')
  local first = m[1] == print and m[2] or ARGV[19]
  if first ~= '' and first ~= ARGV[18] then return { 'owner', first } end
end

-- A Redis that stands before what was seen has lost messages: their offsets would be counted again for others.
local function stand(meta, others, index, called, row, seen_epoch, seen)
  local m = redis.call('HMGET', meta, 'e', 'f', 'x', 'o', 'w')
  local epoch, set_at = m[1], m[3]
  local anew = not epoch or m[2] ~= row or (epoch == seen_epoch and tonumber(m[4] or '0') < tonumber(seen))
  if anew then
    epoch, set_at = begin(meta, others, index, called, row, fresh), nil
  end
  return epoch, redis.call('HINCRBY', meta, 'o', 1), set_at, anew, m[2] == row and m[5]
end

local function keep(meta, stream, off, frame, count, bytes, age)
  count = tonumber(count)
  if bytes == '' then
    redis.call('XADD', stream, 'MAXLEN', '~', count, off .. '-0', 't', ts, 'n', size, 'd', frame)
  else
    redis.call('XADD', stream, off .. '-0', 't', ts, 'n', size, 'd', frame)
    local total, bound = redis.call('HINCRBY', meta, 'b', size), tonumber(bytes)
    local len = redis.call('XLEN', stream)
    while len > 1 and (len > count or total > bound) do
      local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
      total = total - tonumber(entries[1][2][4])
      len = len - 1
      drop(meta, stream, entries)
    end
  end
  if age ~= '' and off % 64 == 0 then drop_aged(meta, stream, now - tonumber(age)) end
end

-- Whether the newest message is this very draft: what is held may have been taken when it was sent first.
local function is_taken()
  local frame = redis.call('HGET', KEYS[1], 'l')
  if kind == 'history' then
    local entry = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    frame = entry and entry[2][6]
  end
  -- It was, and is forgotten.
  if not frame then return true end
  local more, ends = string.match(frame, '^%S+ %S+ %S+ %D(%d+)'), string.find(frame, '\n', 1, true)
  local at = ends + tonumber(more)
  return string.sub(frame, at + 1, at + 16) == string.sub(body, 1, 16)
end

if ARGV[14] == '1' then
  local m = redis.call('HMGET', KEYS[1], 'e', 'f', 't', 'o')
  local newest = m[1] and m[2] == print and tonumber(m[3] or '')
  if newest and (newest > now or (newest == now and is_taken())) then return { tonumber(m[4]), m[1] } end
end

local others = { KEYS[2], KEYS[5], KEYS[6] }
local epoch, off, set_at, anew, owner = stand(KEYS[1], others, KEYS[3], name, print, ARGV[16], ARGV[17])
if anew or not owner then
  owner = owner or (ARGV[18] ~= '' and ARGV[18] or ARGV[19])
  if owner ~= '' then redis.call('HSET', KEYS[1], 'w', owner) end
end

local rolls, at_key, at = {}, 7, 21
local marks = ''
for n = 1, tonumber(ARGV[20]) do
  local roll = { name = ARGV[at], counts = ARGV[at + 1] == '1', row = ARGV[at + 2], count = ARGV[at + 3],
    bytes = ARGV[at + 4], age = ARGV[at + 5], ttl = tonumber(ARGV[at + 6]), sources = KEYS[at_key] }
  at, at_key = at + 7, at_key + 1
  if anew then redis.call('ZADD', roll.sources, 0, name) end
  if roll.counts then
    roll.meta, roll.stream = KEYS[at_key], KEYS[at_key + 1]
    roll.epoch, roll.off, roll.set_at =
      stand(roll.meta, { roll.stream }, KEYS[at_key + 2], roll.name, roll.row, ARGV[at], ARGV[at + 1])
    at, at_key = at + 2, at_key + 3
    marks = marks .. ' ' .. roll.off .. ' ' .. roll.epoch
  end
  rolls[n] = roll
end

local how, more = '-', {}
local function tell(key, row)
  more[#more + 1] = struct.pack('>I4', #key) .. key .. struct.pack('>I4', #row) .. row
end
if kind == 'table' then
  local rows, order = KEYS[5], KEYS[6]
  local whole, arrays_say = ARGV[at] == '1', ARGV[at + 1] == '1'
  local total, changes = 0, 0
  if whole then
    redis.call('DEL', rows, order)
  else
    local m = redis.call('HMGET', KEYS[1], 'r', 'c')
    total, changes = tonumber(m[1] or '0'), tonumber(m[2] or '0')
  end
  local place = at + 3
  for _ = 1, tonumber(ARGV[at + 2]) do
    local key, from, len = ARGV[place], tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2])
    place = place + 3
    local old = redis.call('HSTRLEN', rows, key)
    total = total - old + len
    if len > 0 then
      changes = changes + 1
      redis.call('HSET', rows, key, string.sub(body, from + 1, from + len))
      redis.call('ZADD', order, changes, key)
    elseif old > 0 then
      redis.call('HDEL', rows, key)
      redis.call('ZREM', order, key)
    end
  end
  local count, bytes, left = tonumber(ARGV[8]), tonumber(ARGV[9]), redis.call('ZCARD', order)
  local sayable = true
  while left > count or (bytes and total > bytes and left > 1) do
    local key = redis.call('ZPOPMIN', order)[1]
    local row = redis.call('HGET', rows, key)
    redis.call('HDEL', rows, key)
    total, left = total - #row, left - 1
    how, sayable = 'l', sayable and (arrays_say or string.sub(row, 1, 1) == '{')
    tell(key, row)
  end
  redis.call('HSET', KEYS[1], 'r', total, 'c', changes)
  if (off == 1 and not whole) or (how == 'l' and (whole or not sayable)) then
    how, more = 'w', {}
    for _, key in ipairs(redis.call('ZRANGE', order, 0, -1)) do tell(key, redis.call('HGET', rows, key)) end
  end
end
more = table.concat(more)

local mirrored = ARGV[15] == '1'
local frame = (mirrored and '1m ' or '1 ') .. off .. ' ' .. epoch .. ' ' .. how .. #more .. ' ' .. name .. marks
  .. (owner ~= '' and ' =' .. owner or '') .. '\n' .. more .. body
if kind == 'latest' then
  redis.call('HSET', KEYS[1], 'l', frame, 't', ts)
elseif kind == 'history' then
  keep(KEYS[1], KEYS[2], off, frame, ARGV[8], ARGV[9], ARGV[10])
  redis.call('HSET', KEYS[1], 't', ts)
else
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 64, off .. '-0', 't', ts, 'n', size, 'd', frame)
end
for _, roll in ipairs(rolls) do
  if roll.counts then
    keep(roll.meta, roll.stream, roll.off, frame, roll.count, roll.bytes, roll.age)
    live_on(roll.meta, { roll.stream }, roll.set_at, now, roll.ttl, roll.off == 1)
  end
end
live_on(KEYS[1], others, set_at, now, tonumber(ARGV[11]), off == 1 or kind == 'table')
if ARGV[12] ~= '' then
  local life = string.format('%.0f', tonumber(ARGV[12]) / 1000)
  redis.call('SET', KEYS[4], ts .. ' ' .. off .. ' ' .. epoch .. ' ' .. ARGV[13], 'PX', life)
end
redis.call('PUBLISH', 'tapeline:c:' .. name, frame)
-- Who may not publish there has counted the message all the same.
if mirrored then redis.pcall('PUBLISH', name, string.sub(body, -tonumber(size))) end
for _, roll in ipairs(rolls) do redis.call('PUBLISH', 'tapeline:r:' .. roll.name, frame) end
return owner ~= '' and { off, epoch, '', owner } or { off, epoch }
