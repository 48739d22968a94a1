// The official Socket.IO client, unmodified, on the hub's Socket.IO door: each transport, rooms, acknowledgements, recovery,
// tokens, and what happens when the hub stops.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Hub, packages, pause, startPython, until, within } from './hub.mjs'

const { io } = packages('socket.io-client')
const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']]
const SECRET = '7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA'

/** A client that ends with the test; `said` are its events, arguments and all. */
function client(t, hub, options = {}) {
  const socket = io(`http://${hub.address}`, { forceNew: true, ...options })
  socket.said = []
  socket.onAny((...event) => socket.said.push(event))
  t.after(() => socket.close())
  return socket
}

const event = (socket, name) => within(new Promise(resolve => socket.once(name, (...given) => resolve(given))), () => `${name}; came: ${JSON.stringify(socket.said)}`)

async function connected(t, hub, options) {
  const socket = client(t, hub, options)
  const ready = new Promise((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject))
  await within(ready, () => 'a connection')
  return socket
}

const ask = (socket, ...event) => socket.timeout(20_000).emitWithAck(...event)
const publish = (hub, channel, data, more = {}) => hub.post('/publish', { channel, data, ...more })
const named = (socket, name) => socket.said.filter(([event]) => event === name)

function token(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iat: now, exp: now + 600, ...claims })}`
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`
}

describe('what everybody hears', () => {
  for (const transports of TRANSPORTS) {
    it(`is an event with the bare data, by ${transports}`, async t => {
      const hub = await Hub.start(t)
      const [one, other] = await Promise.all([1, 2].map(() => connected(t, hub, { transports })))
      await until(async () => (await publish(hub, 'quantum_signals', { type: 'BUY', price: 60000 })).subscribers === 2, 'two subscribers')
      for (const socket of [one, other]) {
        await until(() => socket.said.length > 0, 'the signal')
        assert.deepEqual(socket.said.at(-1), ['new_signal', { type: 'BUY', price: 60000 }])
      }
      const last = transports.at(-1)
      await until(() => one.io.engine.transport.name === last, `the transport is ${last}`)
    })
  }

  it('is what a setting says, under the names that a setting says', async t => {
    const config = '[socketio]\neverybody = ["news", "market_data:AAPL"]\nevents = { market_data = "price", news = "headline" }\n'
    const hub = await Hub.start(t, { config })
    const socket = await connected(t, hub)
    await until(async () => (await publish(hub, 'news', { a: 1 })).subscribers === 1, 'a subscriber')
    await publish(hub, 'market_data:AAPL', { symbol: 'AAPL', price: 1.5, change: 0, volume: 1 })
    await publish(hub, 'quantum_signals', { type: 'BUY' })
    await until(() => named(socket, 'price').length === 1, 'a price')
    assert.deepEqual(named(socket, 'headline').at(-1), ['headline', { a: 1 }])
    assert.deepEqual(named(socket, 'new_signal'), [])
  })
})

describe('rooms are channels', () => {
  for (const transports of TRANSPORTS) {
    it(`which are subscribed, heard, published to and left, by ${transports}`, async t => {
      const hub = await Hub.start(t)
      await publish(hub, 'market_data:AAPL', { symbol: 'AAPL', price: 1, change: 0, volume: 1 })
      const socket = await connected(t, hub, { transports })
      const confirmed = await ask(socket, 'subscribe', 'market_data:AAPL')
      assert.equal(confirmed.type, 'subscription_confirmed')
      assert.equal(confirmed.symbol, 'AAPL')
      assert.equal(confirmed.offset, 1)
      assert.ok(!('req' in confirmed), JSON.stringify(confirmed))
      await until(() => named(socket, 'price_update').length === 1, 'the last value')

      const receipt = await ask(socket, 'publish', { channel: 'market_data:AAPL', data: { symbol: 'AAPL', price: 2, change: 1, volume: 1 } })
      assert.deepEqual([receipt.type, receipt.offset, receipt.subscribers], ['published', 2, 1])
      await until(() => named(socket, 'price_update').length === 2, 'what it has published')
      assert.deepEqual(named(socket, 'price_update')[1], ['price_update', { symbol: 'AAPL', price: 2, change: 1, volume: 1 }])

      const last = await ask(socket, 'last', 'market_data:AAPL')
      assert.equal(last.message.data.price, 2)
      const history = await ask(socket, 'history', { channel: 'quantum_signals', limit: 5 })
      assert.deepEqual([history.type, history.messages], ['history', []])
      const list = await ask(socket, 'list')
      assert.deepEqual(list.channels.sort(), ['market_data:AAPL', 'quantum_signals'])
      assert.equal((await ask(socket, 'ping')).type, 'pong')

      assert.equal((await ask(socket, 'unsubscribe', 'market_data:AAPL')).type, 'unsubscription_confirmed')
      assert.equal((await publish(hub, 'market_data:AAPL', { symbol: 'AAPL', price: 3, change: 1, volume: 1 })).subscribers, 0)
    })
  }

  it('several at once, each told for itself, and by a pattern', async t => {
    const hub = await Hub.start(t)
    const socket = await connected(t, hub)
    assert.deepEqual(await ask(socket, 'subscribe', ['a', 'b', 'bad name']), { type: 'accepted', channels: 3 })
    await until(() => named(socket, 'subscription_confirmed').length === 2 && named(socket, 'error').length === 1, 'two confirmations and an error')
    const pattern = await ask(socket, 'subscribe', { pattern: 'x:*' })
    assert.equal(pattern.pattern, 'x:*')
    await publish(hub, 'x:1', 7)
    await publish(hub, 'a', [1.5])
    await until(() => named(socket, 'message').length === 2, 'two messages')
    assert.deepEqual(named(socket, 'message'), [['message', 7], ['message', [1.5]]])
  })

  it('what is wrong is told in the acknowledgement, or as an event', async t => {
    const hub = await Hub.start(t)
    const socket = await connected(t, hub)
    assert.equal((await ask(socket, 'subscribe', 'no good name')).code, 'bad_channel')
    assert.equal((await ask(socket, 'subscribe')).code, 'invalid_request')
    assert.equal((await ask(socket, 'subscribe', 7)).code, 'invalid_request')
    const unknown = await ask(socket, 'joinRoom', 'a')
    assert.deepEqual([unknown.type, unknown.code], ['error', 'unknown_action'])
    socket.emit('joinRoom', 'a')
    const [told] = await event(socket, 'error')
    assert.equal(told.code, 'unknown_action')
    const binary = await ask(socket, 'publish', { channel: 'a', data: Buffer.from([1, 2, 3]) })
    assert.equal(binary.code, 'invalid_data')
    const large = await ask(socket, 'subscribe', { channel: 'a', padding: 'x'.repeat(70_000) })
    assert.equal(large.code, 'too_large')
    assert.equal((await ask(socket, 'publish', { channel: 'a', data: 'x'.repeat(70_000) })).type, 'published')
  })

  it('other namespaces are not there', async t => {
    const hub = await Hub.start(t)
    const socket = io(`http://${hub.address}/admin`, { forceNew: true })
    t.after(() => socket.close())
    const error = await within(new Promise(resolve => socket.once('connect_error', resolve)), () => 'a refusal')
    assert.equal(error.message, 'Invalid namespace')
  })

  it('a header tells where a message stands to who asks for it', async t => {
    const hub = await Hub.start(t)
    const socket = await connected(t, hub, { auth: { headers: true } })
    const { epoch } = await ask(socket, 'subscribe', 'trades:p1')
    const trade = { portfolio_id: 'p1', symbol: 'AAPL', trade_type: 'BUY', quantity: 1, price: 2 }
    await publish(hub, 'trades:p1', trade, { correlation_id: 'c1' })
    await until(() => named(socket, 'trade').length === 1, 'a trade')
    const [, data, header] = named(socket, 'trade')[0]
    assert.deepEqual(data, trade)
    assert.deepEqual([header.channel, header.type, header.offset, header.epoch, header.correlation_id], ['trades:p1', 'trade', 1, epoch, 'c1'])
    assert.equal(header.rollup.trades.offset, 1)
  })
})

describe('nothing is lost', () => {
  for (const transports of TRANSPORTS) {
    it(`while clients connect, poll and upgrade under load, by ${transports}`, async t => {
      const hub = await Hub.start(t)
      let running = true
      const load = (async () => {
        let sent = 0
        while (running) {
          await publish(hub, 'every:1', { n: ++sent })
          await pause(1)
        }
        return sent
      })()
      const sockets = await Promise.all(Array.from({ length: 8 }, () => connected(t, hub, { transports, auth: { headers: true } })))
      await Promise.all(sockets.map(socket => ask(socket, 'subscribe', { channel: 'every:1' })))
      // Whoever changes its transport has done so by then.
      await until(() => sockets.every(socket => named(socket, 'message').length > 80), 'eighty messages each')
      running = false
      const sent = await load
      for (const socket of sockets) {
        await until(() => named(socket, 'message').at(-1)?.[2].offset === sent, () => `offset ${sent}; the last is ${JSON.stringify(named(socket, 'message').at(-1))}`)
        const offsets = named(socket, 'message').map(([, , header]) => header.offset)
        assert.deepEqual(offsets, offsets.map((_, at) => offsets[0] + at))
        assert.equal(socket.io.engine.transport.name, transports.at(-1))
      }
    })
  }

  it('over a restart of the hub: the client comes back by itself and resumes', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'tapeline-doors-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const flags = ['--data-dir', folder]
    const first = await Hub.start(t, { flags })
    const socket = await connected(t, first, { auth: { headers: true }, reconnectionDelay: 50, reconnectionDelayMax: 200 })
    let since
    socket.on('trade', (data, { offset, epoch }) => { since = { offset, epoch } })
    socket.on('connect', () => { if (since) socket.emit('subscribe', { channel: 'trades:p1', since }, answer => socket.said.push(['resumed', answer])) })
    await ask(socket, 'subscribe', 'trades:p1')
    const trade = price => ({ portfolio_id: 'p1', symbol: 'AAPL', trade_type: 'BUY', quantity: 1, price })
    await publish(first, 'trades:p1', trade(1))
    await until(() => since, 'the first trade')
    const reason = event(socket, 'disconnect')
    await first.stop('SIGTERM')
    assert.equal((await reason)[0], 'transport close')
    assert.equal(named(socket, 'reconnect').length, 1)
    const second = await Hub.start(t, { flags, address: first.address })
    await publish(second, 'trades:p1', trade(2))
    await until(() => named(socket, 'resumed').length > 0, () => `it resumes: ${JSON.stringify(socket.said)}`)
    assert.equal(named(socket, 'resumed')[0][1].recovered, true)
    await publish(second, 'trades:p1', trade(3))
    await until(() => named(socket, 'trade').length === 3, 'all three')
    assert.deepEqual(named(socket, 'trade').map(([, data]) => data.price), [1, 2, 3])
  })

  for (const transports of TRANSPORTS) {
    it(`when the hub stops, and who heard only what everybody hears is told nothing but that, by ${transports}`, async t => {
      const hub = await Hub.start(t)
      const socket = await connected(t, hub, { transports, reconnection: false })
      const last = transports.at(-1)
      await until(() => socket.io.engine.transport.name === last, `the transport is ${last}`)
      const reason = event(socket, 'disconnect')
      assert.equal(await hub.stop('SIGTERM'), 0)
      assert.equal((await reason)[0], 'transport close')
      assert.deepEqual(socket.said, [])
    })
  }
})

describe('who it is', () => {
  const config = `[auth]\nmode = "on"\njwt.secret = "${SECRET}"\n`

  for (const transports of TRANSPORTS) {
    it(`is said when it connects, or nobody is let in, by ${transports}`, async t => {
      const hub = await Hub.start(t, { config })
      const stranger = client(t, hub, { transports, reconnection: false })
      const [missing] = await event(stranger, 'connect_error')
      assert.equal(missing.data?.code, 'invalid_token', missing.message)
      const wrong = client(t, hub, { transports, reconnection: false, auth: { token: 'nonsense' } })
      const [error] = await event(wrong, 'connect_error')
      assert.equal(error.data?.code, 'invalid_token', error.message)

      const good = await connected(t, hub, { transports, auth: { token: token({ sub: 'u1' }) } })
      assert.equal((await ask(good, 'subscribe', 'quantum_signals')).type, 'subscription_confirmed')
      assert.equal((await ask(good, 'subscribe', 'metrics')).code, 'forbidden')
      assert.equal((await ask(good, 'subscribe', 'notifications:u1')).type, 'subscription_confirmed')
      assert.equal((await ask(good, 'subscribe', 'notifications:u2')).code, 'forbidden')
      assert.equal((await ask(good, 'token', token({ sub: 'u1' }))).type, 'token_ok')
      assert.equal((await ask(good, 'token', token({ sub: 'u2' }))).code, 'invalid_token')
    })
  }

  it('can be said in a header or in the query too', async t => {
    const hub = await Hub.start(t, { config })
    for (const options of [{ extraHeaders: { authorization: `Bearer ${token({ sub: 'u1' })}` } }, { query: { token: token({ sub: 'u1' }) } }]) {
      const socket = await connected(t, hub, options)
      assert.equal((await ask(socket, 'subscribe', 'notifications:u1')).type, 'subscription_confirmed')
    }
    // Whoever is not let in to the transport has joined nothing: there is a status, and no code of the hub's.
    const wrong = client(t, hub, { transports: ['polling'], query: { token: 'nonsense' }, reconnection: false })
    const [error] = await event(wrong, 'connect_error')
    assert.deepEqual([error.description, error.data], [403, undefined], error.message)
    const answer = await fetch(`http://${hub.address}/socket.io/?EIO=4&transport=polling`, { headers: { authorization: 'Bearer nonsense' } })
    assert.deepEqual([answer.status, (await answer.json()).code], [403, 4])
  })

  it('is one, whoever says it how', async t => {
    const hub = await Hub.start(t, { config })
    const extraHeaders = { authorization: `Bearer ${token({ sub: 'u1' })}` }
    const other = client(t, hub, { extraHeaders, auth: { token: token({ sub: 'u2' }) }, reconnection: false })
    const [error] = await event(other, 'connect_error')
    assert.equal(error.data?.code, 'invalid_token', error.message)
    // Who is refused has not joined, whatever it has said before.
    const path = `http://${hub.address}/socket.io/?EIO=4&transport=polling`
    const open = await fetch(path, { headers: extraHeaders })
    const session = `${path}&sid=${JSON.parse((await open.text()).slice(1)).sid}`
    const say = async packet => assert.equal((await fetch(session, { method: 'POST', body: packet })).status, 200)
    const hear = async () => (await fetch(session)).text()
    await say(`40${JSON.stringify({ token: token({ sub: 'u2' }) })}`)
    assert.match(await hear(), /^44\{.*"invalid_token"/)
    await say('421["ping"]')
    assert.match(await hear(), /^1$|Session ID unknown/)

    const same = await connected(t, hub, { extraHeaders, auth: { token: token({ sub: 'u1' }) } })
    assert.equal((await ask(same, 'subscribe', 'notifications:u1')).type, 'subscription_confirmed')
  })

  it('decides what everybody hears, and who may not is told', async t => {
    const hub = await Hub.start(t, { config: `${config}[socketio]\neverybody = ["metrics"]\n` })
    const socket = client(t, hub, { auth: { token: token({ sub: 'u1' }) } })
    const [told] = await event(socket, 'error')
    assert.deepEqual([told.code, told.channel], ['forbidden', 'metrics'])
  })
})

describe('python-socketio', () => {
  for (const transport of ['websocket', 'polling', 'both']) {
    it(`connects, hears, asks and publishes, by ${transport}`, async t => {
      const hub = await Hub.start(t)
      const python = startPython(t, 'socketio_client.py', [`http://${hub.address}`, transport])
      await python.line(/^connected/)
      await until(async () => (await publish(hub, 'quantum_signals', { type: 'BUY', price: 60000 })).subscribers === 1, 'a subscriber')
      await python.line(/^done/)
      assert.equal(await python.end(), 0)
    })
  }
})
