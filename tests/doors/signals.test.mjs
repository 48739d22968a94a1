// The document "Redis Pub/Sub Architecture", end to end: its worker, its FastAPI listener and Socket.IO clients, with a real Redis
// and with the hub's Redis door. The worker is as printed; the listener stands, as printed but for its imports, in docs/guide.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Hub, Program, REDIS_DOOR, heard, packages, python, startPython, startRedis, until, within } from './hub.mjs'
import { saved } from './page.mjs'

const { io } = packages('socket.io-client')
const SIGNAL = { type: 'BUY', price: 60000 }
const WORKER = '../documents/signal_monitor.py'

/** A Socket.IO client as a page has it: it connects, and asks for nothing. Answers the signals that come. */
async function browser(t, url, options = {}) {
  const socket = io(url, { reconnection: false, ...options })
  t.after(() => socket.close())
  const signals = []
  socket.on('new_signal', (...given) => signals.push(given))
  await within(Promise.race([once(socket, 'connect'), once(socket, 'connect_error').then(([error]) => { throw error })]), () => `a connection to ${url}`)
  return signals
}

/** The document's FastAPI application; answers the address of its Socket.IO server, which hears Redis by then. */
async function startListener(t, redis) {
  const folder = saved(t, 'from-fastapi-redis.md')
  const uvicorn = new Program(t, python, ['-m', 'uvicorn', 'main:app', '--port', '0'], { cwd: folder, env: { REDIS_URL: redis } })
  const running = () => /Uvicorn running on (http:\/\/\S+)/.exec(uvicorn.errors)?.[1]
  const address = await until(running, () => `uvicorn runs: ${uvicorn.errors}`)
  await heard(redis, 'quantum_signals')
  return address
}

const work = (t, redis, options) => startPython(t, WORKER, [], { env: { REDIS_URL: redis }, ...options })

const came = (signals, worker, count = 1) =>
  until(() => signals.length >= count, () => `${count} signals; came: ${JSON.stringify(signals)}; the worker: ${worker.lines} ${worker.errors}`)

describe('the worker\'s signal reaches every Socket.IO client as new_signal, without any configuration', () => {
  for (const transports of [['websocket'], ['polling']]) {
    it(`through a real Redis and the hub, by ${transports}`, async t => {
      const redis = await startRedis(t)
      const hub = await Hub.start(t, { flags: ['--broker', redis] })
      const signals = await browser(t, `http://${hub.address}`, { transports })
      await heard(redis, 'quantum_signals')
      const worker = work(t, redis)
      await came(signals, worker)
      assert.deepEqual(signals, [[SIGNAL]])
    })
  }

  for (const old of [false, true]) {
    it(`through the Redis door, with ${old ? 'redis-py 5.0' : 'the newest redis-py'}`, async t => {
      const hub = await Hub.start(t, { flags: REDIS_DOOR })
      const clients = await Promise.all([1, 2].map(() => browser(t, `http://${hub.address}`)))
      const worker = work(t, hub.redis, { old })
      for (const signals of clients) await came(signals, worker)
      // Behind a further signal everything of the first has arrived.
      await hub.post('/publish', { channel: 'quantum_signals', data: { type: 'SELL', price: 1 } })
      for (const signals of clients) {
        await came(signals, worker, 2)
        assert.deepEqual(signals, [[SIGNAL], [{ type: 'SELL', price: 1 }]])
      }
    })
  }
})

describe('the FastAPI listener as printed', () => {
  const doors = {
    'a real Redis': async t => startRedis(t),
    'the Redis door, with nothing but another REDIS_URL': async t => (await Hub.start(t, { flags: REDIS_DOOR })).redis,
  }
  for (const [door, open] of Object.entries(doors)) {
    it(`tells its own Socket.IO clients what the worker says, over ${door}`, async t => {
      const redis = await open(t)
      const address = await startListener(t, redis)
      const signals = await browser(t, address)
      const worker = work(t, redis)
      await came(signals, worker)
      assert.deepEqual(signals, [[SIGNAL]])
    })
  }

  it('hears once what the worker says while browsers of the hub hear it too, so that they can move one by one', async t => {
    const redis = await startRedis(t)
    const hub = await Hub.start(t, { flags: ['--broker', redis] })
    const address = await startListener(t, redis)
    const [stayed, moved] = [await browser(t, address), await browser(t, `http://${hub.address}`)]
    const worker = work(t, redis)
    for (const signals of [stayed, moved]) await came(signals, worker)
    await hub.post('/publish', { channel: 'quantum_signals', data: { type: 'SELL', price: 1 } })
    for (const signals of [stayed, moved]) {
      await came(signals, worker, 2)
      assert.deepEqual(signals, [[SIGNAL], [{ type: 'SELL', price: 1 }]])
    }
  })
})
