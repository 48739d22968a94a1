// The document's Redis worker, in Python with redis-py, against a real Redis and hubs that share it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Hub, here, packages, within } from './hub.mjs'
import { heard, startRedis } from './redis.mjs'

const WebSocket = packages('ws')
const python = process.env.PYTHON ?? 'python3'

/** A subscriber of the signals, which stands when this returns: a function that answers them when there are so many. */
async function subscribed(t, hub) {
  const socket = new WebSocket(`ws://${hub.address}/ws`)
  t.after(() => socket.terminate())
  const frames = []
  const stands = new Promise(resolve => {
    socket.on('message', text => {
      const frame = JSON.parse(text)
      frames.push(frame)
      if (frame.type === 'subscription_confirmed') resolve()
      socket.emit('frame')
    })
  })
  await within(once(socket, 'open'), () => 'the connection')
  socket.send(JSON.stringify({ action: 'subscribe', channel: 'quantum_signals' }))
  await within(stands, () => 'the confirmation')
  const signals = () => frames.filter(frame => frame.type === 'new_signal')
  const come = async count => {
    while (signals().length < count) await once(socket, 'frame')
    return signals()
  }
  return count => within(come(count), () => `${count} signals; what came: ${JSON.stringify(frames)}`)
}

describe('the signal monitor', () => {
  it('reaches the clients of every hub once, its signal whole', async t => {
    const url = await startRedis(t)
    const hubs = await Promise.all([1, 2].map(() => Hub.start(t, { flags: ['--broker', url] })))
    const clients = await Promise.all(hubs.map(hub => subscribed(t, hub)))
    await heard(url, 'quantum_signals')
    const worker = spawn(python, [join(here, 'signal_monitor.py')], { env: { ...process.env, REDIS_URL: url } })
    t.after(() => worker.kill('SIGKILL'))
    let said = ''
    worker.stderr.on('data', text => { said += text })
    worker.on('exit', () => { said += ' (it ended)' })
    for (const signals of clients) {
      const [{ data, channel }] = await signals(1).catch(error => { throw new Error(`${error.message}; ${said}`) })
      assert.deepEqual({ data, channel }, { data: { type: 'BUY', price: 60000 }, channel: 'quantum_signals' })
    }
    // Behind a further message everything of the first has arrived.
    await hubs[0].post('/publish', { channel: 'quantum_signals', data: { type: 'SELL', price: 1 } })
    for (const signals of clients) {
      assert.deepEqual((await signals(2)).map(frame => frame.data.type), ['BUY', 'SELL'])
    }
  })
})
