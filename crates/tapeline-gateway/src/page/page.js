'use strict'
// Shows what public interfaces give: the WebSocket at /ws, GET /stats and /health. Every text goes in as textContent.
const STALE_MS = 5000, INSIDE = 8, ROWS = 200, SYMBOLS = 1000, LEVELS = 8, TRADES = 10
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 15000, SILENCE_MS = 40000
const TOKEN = 'tapeline.token', EXPIRED = 4001, REVOKED = 4003, POLICY = 1008
const PRICES = 'market_data', FILLS = 'trades:portfolio-123'
const at = id => document.getElementById(id)
const now = () => performance.now()
const calm = matchMedia('(prefers-reduced-motion: reduce)')

const rows = new Map()          // symbol → what is known of its price
let fills = [], book = null     // book: {symbol, bids, asks, born}
let socket = null, attempt = 0, retryAt = 0, heardAt = 0, connected = false
let token = sessionStorage.getItem(TOKEN)
let wanted = '', known = false  // why a token is wanted; whether the hub lets this connection hear anything
let hubClock = null             // the hub's clock minus the page's, ms
let degraded = false            // the hub's broker is out of reach
let drawing = 0, added = [], bookChanged = false, fillsChanged = false

// ---- what comes in

function connect() {
  retryAt = 0
  heardAt = now()
  const mine = socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`)
  mine.onopen = () => {
    connected = true
    degraded = known = false
    fills = []
    lookAtDoor()
    send({ action: 'ping' })     // its answer says what time the hub has, so that old values show their true age
    if (token) giveToken()
    else hear()
    draw()
  }
  mine.onmessage = event => { heardAt = now(); take(JSON.parse(event.data)) }
  mine.onclose = event => { if (mine === socket) closed(event.code) }
}

function hear() {
  send({ action: 'subscribe', channel: PRICES })
  send({ action: 'subscribe', channel: FILLS })
  if (book) send({ action: 'subscribe', channel: 'orderbook:' + book.symbol, max_rate: 10 })
  setTimeout(() => { if (rows.size === 0 && connected && known) showEmpty(true) }, 1500)
}

function closed(code) {
  if (code === EXPIRED) askForToken('The token has ended. Another one:')
  if (code === REVOKED) askForToken('The token was revoked. Another one:')
  // Without another token it would only be closed again.
  if (code === EXPIRED || code === REVOKED || (code === POLICY && wanted)) lose()
  else lost()
}

function lose() {
  connected = known = false
  if (socket) { socket.onclose = socket.onmessage = socket.onopen = null; socket.close() }
  socket = null
  for (const row of rows.values()) row.held = true
  if (book) book.held = true
  draw()
}

function lost() {
  lose()
  // Full jitter: after a restart of the hub its pages come back spread out.
  const wait = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt++)
  retryAt = now() + wait
  setTimeout(connect, wait)
}

function send(request) { if (connected) socket.send(JSON.stringify(request)) }

// ---- who looks

function giveToken() { send({ action: 'token', token, req: TOKEN }) }

function askForToken(why) {
  wanted = why
  say(at('why'), why)
  at('door').hidden = false
  draw()
}

function takeToken({ type, code, message, in_s, req }) {
  if (type === 'token_expiring') askForToken(`The token ends in ${in_s} s. Another one:`)
  if (type === 'token_ok') {
    wanted = ''
    at('door').hidden = true
    if (!known) hear()
  }
  if (type !== 'error') return
  // A hub that knows no tokens asks for none.
  if (req === TOKEN && code !== 'invalid_token') hear()
  else if (req === TOKEN) {
    sessionStorage.removeItem(TOKEN)
    token = null
    askForToken(`The hub does not take the token: ${message}. Another one:`)
  } else if (code === 'invalid_token') askForToken('The hub wants a token:')
}

at('door').onsubmit = event => {
  event.preventDefault()
  token = at('token').value.trim()
  sessionStorage.setItem(TOKEN, token)
  at('token').value = ''
  if (connected) giveToken()
  else if (!retryAt) connect()
  count()
}

// Whether anybody is asked who he is.
async function lookAtDoor() {
  try {
    const health = await (await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(LONGEST_WAIT_MS) })).json()
    at('unguarded').hidden = health.authentication !== 'off'
  } catch {}   // the state line says so
}

// ---- what is heard

function take(message) {
  const { type, channel, data } = message
  if (type === 'error' || type === 'token_ok' || type === 'token_expiring') takeToken(message)
  if (type === 'error' && channel === FILLS) say(at('no-trades'), `Not for this token: ${message.message}`)
  if (type === 'subscription_confirmed') known = true
  if (message.time && (type === 'pong' || type === 'heartbeat')) hubClock = Date.parse(message.time) - now()
  if (type === 'pong') attempt = 0
  if (type === 'notice' && !channel) { degraded = message.notice === 'degraded'; draw() }
  if (type === 'subscription_confirmed' && channel === FILLS && message.offset > 0) {
    const since = { offset: Math.max(0, message.offset - TRADES), epoch: message.epoch }
    send({ action: 'history', channel: FILLS, since, limit: TRADES })
  }
  if (type === 'history' && channel === FILLS) for (const old of message.messages) takeFill(old)
  if (type === 'gap' && channel === FILLS) at('gap').textContent = `(${message.from}–${message.to ?? '?'} missing)`
  if (data === null || typeof data !== 'object' || !channel) return
  if (channel === FILLS) takeFill(message)
  else if (book && channel === 'orderbook:' + book.symbol) takeBook(message)
  else if ('price' in data) takePrice(message)
}

// When the page could first have seen it, by the page's own clock.
function born(message) {
  const age = hubClock === null ? 0 : now() + hubClock - Date.parse(message.timestamp)
  return now() - (age > 1000 ? age : 0)
}

function takePrice(message) {
  const { data } = message
  const symbol = String(message.symbol ?? data.symbol ?? message.channel)
  let row = rows.get(symbol)
  if (!row) {
    if (rows.size === SYMBOLS) return
    row = { symbol, digits: 2 }
    rows.set(symbol, row)
    added.push(row)
    if (rows.size === 1) showEmpty(false)
    if (!book) choose(symbol)
  }
  row.digits = Math.max(row.digits, digitsOf(data.price))
  row.flash = row.data && row.data.price !== data.price ? Math.sign(data.price - row.data.price) : row.flash
  Object.assign(row, { data, bornAt: born(message), held: false, changed: true })
  draw()
}

function takeBook(message) {
  Object.assign(book, { bids: message.data.bids, asks: message.data.asks, bornAt: born(message), held: false })
  bookChanged = true
  draw()
}

function takeFill(message) {
  if (fills.some(fill => fill.offset === message.offset)) return
  fills.push(message)
  fills.sort((a, b) => b.offset - a.offset).splice(TRADES)
  fillsChanged = true
  draw()
}

function choose(symbol) {
  if (book) send({ action: 'unsubscribe', channel: 'orderbook:' + book.symbol })
  book = { symbol }
  bookChanged = true
  send({ action: 'subscribe', channel: 'orderbook:' + symbol, max_rate: 10 })
  draw()
}

// ---- what is shown

function digitsOf(number) { return typeof number === 'number' ? Math.min(8, (String(number).split('.')[1] ?? '').length) : 0 }

function figure(value, digits) {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'number') return String(value)
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits ?? 4 })
}

function signed(value, digits) {
  const text = figure(value, digits)
  return value > 0 ? '▲ +' + text : value < 0 ? '▼ ' + text.replace('-', '−') : text
}

function say(node, text) { if (node.textContent !== text) node.textContent = text }

function isStale(thing) { return thing.held || now() - thing.bornAt > STALE_MS }

function age(thing) {
  const seconds = Math.max(0, Math.floor((now() - thing.bornAt) / 1000))
  const text = seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
  return isStale(thing) ? 'stale ' + text : text
}

function cells(parent, tags) {
  return tags.map(tag => parent.appendChild(document.createElement(tag)))
}

function addRow(row) {
  const body = at('prices')
  say(at('more'), rows.size > ROWS ? `(${ROWS} of ${rows.size}${rows.size === SYMBOLS ? ' or more' : ''})` : '')
  if (body.rows.length === ROWS) return
  const node = document.createElement('tr')
  const [symbol, price, change, volume, aged] = cells(node, ['th', 'td', 'td', 'td', 'td'])
  symbol.scope = 'row'
  volume.className = 'volume'
  aged.className = 'age'
  const button = symbol.appendChild(document.createElement('button'))
  button.type = 'button'
  button.textContent = row.symbol
  button.onclick = () => choose(row.symbol)
  Object.assign(row, { node, cells: { button, price, change, volume, aged } })
  const next = [...body.rows].find(other => other.cells[0].textContent > row.symbol)
  body.insertBefore(node, next ?? null)
}

function drawRow(row) {
  const { button, price, change, volume, aged } = row.cells
  row.node.className = isStale(row) ? 'stale' : ''
  button.setAttribute('aria-pressed', book.symbol === row.symbol)
  say(aged, age(row))
  if (!row.changed) return
  row.changed = false
  const { data } = row
  say(price, figure(data.price, row.digits))
  say(change, signed(data.change, row.digits))
  change.className = data.change > 0 ? 'up' : data.change < 0 ? 'down' : ''
  say(volume, figure(data.volume))
  if (row.flash && !row.held && !calm.matches) {
    const colour = `var(--${row.flash > 0 ? 'up' : 'down'}-flash)`
    price.animate([{ background: colour }, { background: 'transparent' }], { duration: 700, easing: 'ease-out' })
  }
  row.flash = 0
}

function drawBook() {
  at('book-part').hidden = !book
  if (!book) return
  at('book-title').className = book.bids && isStale(book) ? 'stale' : ''
  say(at('book-title'), `Order book ${book.symbol} · ${book.bids ? age(book) : 'none so far'}`)
  at('book').className = book.bids && isStale(book) ? 'stale' : ''
  if (!bookChanged) return
  bookChanged = false
  const side = levels => Array.isArray(levels) ? levels.filter(Array.isArray).slice(0, LEVELS) : []
  const bids = side(book.bids), asks = side(book.asks)
  const digits = Math.max(2, ...[...bids, ...asks].map(level => digitsOf(level[0])))
  const lines = Array.from({ length: Math.max(bids.length, asks.length) }, (_, n) => {
    const line = document.createElement('tr')
    const [bought, bid, ask, offered] = cells(line, ['td', 'td', 'td', 'td'])
    bid.className = 'up'
    ask.className = 'down'
    say(bought, figure(bids[n]?.[1]))
    say(bid, figure(bids[n]?.[0], digits))
    say(ask, figure(asks[n]?.[0], digits))
    say(offered, figure(asks[n]?.[1]))
    return line
  })
  at('book').replaceChildren(...lines)
}

function drawFills() {
  at('trade-rows').className = connected ? '' : 'stale'
  if (!fillsChanged) return
  fillsChanged = false
  at('no-trades').hidden = fills.length > 0
  at('trade-rows').replaceChildren(...fills.map(({ data, timestamp }) => {
    const line = document.createElement('tr')
    const [time, side, symbol, quantity, price] = cells(line, ['td', 'td', 'td', 'td', 'td'])
    say(time, new Date(timestamp).toLocaleTimeString('en-GB'))
    say(side, figure(data.trade_type))
    side.className = data.trade_type === 'BUY' ? 'up' : data.trade_type === 'SELL' ? 'down' : ''
    say(symbol, figure(data.symbol))
    say(quantity, figure(data.quantity))
    say(price, figure(data.price, Math.max(2, digitsOf(data.price))))
    return line
  }))
}

function drawState() {
  const wait = Math.max(0, Math.ceil((retryAt - now()) / 1000))
  const again = attempt > 0
  const shut = wanted && !known
  const up = degraded ? 'connected; the broker is out of reach' : 'connected'
  say(at('state'), shut ? 'a token is wanted' : connected ? up : again ? 'reconnecting' : 'connecting')
  say(at('wait'), !connected && retryAt ? `in ${wait} s` : '')   // beside the state: read aloud once, not every second
  at('state').className = connected && !degraded && !shut ? 'connected' : connected || again || shut ? 'lost' : ''
}

// Once a frame, however many messages came.
function draw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0
    for (const row of added.splice(0)) addRow(row)
    for (const row of rows.values()) if (row.node) drawRow(row)
    drawBook()
    drawFills()
    drawState()
  })
}

function showEmpty(empty) {
  at('empty').hidden = !empty
  at('live').hidden = empty
}

// ---- what the hub counts

// Each cause with its count on a line of its own, where there are any.
function byCause(causes) {
  const told = Object.entries(causes ?? {}).filter(([, count]) => count > 0)
  return told.map(([cause, count]) => `${cause} ${figure(count, 0)}`).join('\n')
}

function bytes(count) {
  const short = value => figure(value, value < 100 ? 1 : 0)
  return count < 1024 ? `${count} B` : count < 1048576 ? `${short(count / 1024)} KiB` : `${short(count / 1048576)} MiB`
}

function spell(ms) {
  return ms < 10000 ? `${figure(ms / 1000, 1)} s` : ms < 120000 ? `${figure(ms / 1000, 0)} s` : `${figure(ms / 60000, 0)} min`
}

// The bound under which so many per cent of the last writes were, over all priorities.
function took(percent, stats, earlier) {
  const same = stats.instance === earlier.instance
  const counts = stats.delay.bounds_us.concat(Infinity).map((_, n) =>
    Object.entries(stats.delay.buckets).reduce((all, [priority, buckets]) =>
      all + buckets[n] - (same ? earlier.delay.buckets[priority]?.[n] ?? 0 : 0), 0))
  const rank = Math.ceil(counts.reduce((all, one) => all + one, 0) * percent / 100)
  if (rank === 0) return '–'
  let passed = 0
  const at = counts.findIndex(count => (passed += count) >= rank)
  return at < stats.delay.bounds_us.length ? `≤ ${figure(stats.delay.bounds_us[at] / 1000)} ms` : '> 10 s'
}

// Rows stay where they are: a reader who selects or listens is not thrown out every two seconds.
function fill(id, lines) {
  const body = at(id)
  while (body.rows.length > lines.length) body.deleteRow(-1)
  lines.forEach((texts, n) => {
    const line = body.rows[n] ?? body.insertRow()
    if (line.cells.length === 0) cells(line, texts.map((_, n) => n ? 'td' : 'th'))[0].scope = 'row'
    texts.forEach((text, n) => say(line.cells[n], text))
  })
}

function drawInside({ busiest, channels, late, slowest }) {
  at('inside').hidden = false
  fill('busiest', busiest.slice(0, INSIDE).map(one =>
    [one.channel, figure(one.per_second, 1), figure(channels[one.channel]?.subscribers, 0)]))
  fill('late', late.slice(0, INSIDE).map(one => [one.channel, one.state, spell(one.age_ms), spell(one.usual_ms)]))
  say(at('late-title'), late.length === 0 ? 'No channel has gone quiet'
    : late.length === 1 ? '1 channel has gone quiet' : `${late.length} channels have gone quiet`)
  at('late-head').hidden = late.length === 0
  const behind = count => count === 0 ? '–' : count === 1 ? '1 channel' : `${figure(count, 0)} channels`
  fill('slow', slowest.map(one =>
    [one.client, bytes(one.waiting_bytes), spell(one.blocked_ms), behind(one.behind), figure(one.conflated, 0)]))
  say(at('slow-title'), slowest.length ? 'Slow clients' : 'No client is slow')
  at('slow-head').hidden = slowest.length === 0
}

async function ask() {
  try {
    const headers = token ? { authorization: 'Bearer ' + token } : {}
    const answer = await fetch('/stats', { cache: 'no-store', headers, signal: AbortSignal.timeout(LONGEST_WAIT_MS) })
    const denied = answer.status === 401 || answer.status === 403
    at('figures').hidden = !denied
    if (denied) say(at('figures'), `These figures are for operators: ${(await answer.json()).error.message}.`)
    return answer.ok ? await answer.json() : null
  } catch { return null }   // the state line says so
}

let before = null
async function count() {
  if (document.hidden) return
  const stats = await ask()
  const sum = causes => Object.values(causes ?? {}).reduce((all, one) => all + one, 0)
  const time = now(), whole = value => figure(value, 0)
  const rate = name => before && stats[name] >= before.stats[name]
    ? whole((stats[name] - before.stats[name]) / (time - before.time) * 1000) : '–'
  say(at('connections'), stats ? whole(stats.connections) : '–')
  say(at('published'), stats ? rate('published') : '–')
  say(at('delivered'), stats ? rate('delivered') : '–')
  say(at('conflated'), stats ? whole(stats.conflated) : '–')
  say(at('conflated-by'), byCause(stats?.conflated_by))
  say(at('dropped'), stats ? whole(sum(stats.dropped)) : '–')
  say(at('dropped-by'), byCause(stats?.dropped))
  say(at('waiting'), stats ? bytes(stats.waiting_bytes) : '–')
  for (const percent of [50, 99]) say(at('p' + percent), stats && before ? took(percent, stats, before.stats) : '–')
  at('inside').classList.toggle('stale', !stats)
  if (stats) drawInside(stats)
  if (stats) say(at('version'), 'version ' + stats.version)
  before = stats && { stats, time }
}

const price = { channel: 'market_data:AAPL', data: { symbol: 'AAPL', price: 189.5, change: 0.5, volume: 1000 } }
at('curl').textContent =
  `curl ${location.origin}/publish -H 'content-type: application/json' \\\n  -d '${JSON.stringify(price)}'`
setInterval(() => { if (connected && now() - heardAt > SILENCE_MS) lost(); draw() }, 250)
const keepCounting = () => count().finally(() => setTimeout(keepCounting, 2000))
keepCounting()
connect()
