// Server-Sent Events: EventSource in Node and in Chromium, and curl, as they are.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Hub, Program, packages, pause, until } from './hub.mjs'

const { EventSource } = packages('eventsource')
const FILLS = 'trades:desk-7'
const FRAMES = ['trade', 'price_update', 'subscription_confirmed', 'gap', 'notice', 'heartbeat', 'refusal', 'closed', 'reconnect']

const fill = quantity => ({ portfolio_id: 'desk-7', symbol: 'AAPL', trade_type: 'BUY', quantity, price: 187.45 })
const price = price => ({ symbol: 'AAPL', price, change: 0, volume: 1000 })
const publish = (hub, channel, data) => hub.post('/publish', { channel, data })

/** What an EventSource of the channels hears. */
class Listener {
  constructor(t, hub, query) {
    this.frames = []
    this.source = new EventSource(`http://${hub.address}/events?${query}`)
    t.after(() => this.source.close())
    for (const type of FRAMES) {
      this.source.addEventListener(type, ({ data, lastEventId }) => this.frames.push({ type, lastEventId, message: JSON.parse(data) }))
    }
  }

  of(type) {
    return this.frames.filter(frame => frame.type === type)
  }

  async until(type, count = 1) {
    await until(() => this.of(type).length >= count, () => `${count} of ${type}; came: ${JSON.stringify(this.frames)}`)
    return this.of(type).map(frame => frame.message)
  }

  async quantities(count) {
    return (await this.until('trade', count)).map(message => message.data.quantity)
  }
}

const durable = t => {
  const folder = mkdtempSync(join(tmpdir(), 'tapeline-doors-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return ['--data-dir', folder]
}

describe('EventSource in Node', () => {
  it('hears the last value, then what comes, each as the native object under its type', async t => {
    const hub = await Hub.start(t)
    await publish(hub, 'market_data:AAPL', price(190))
    const listener = new Listener(t, hub, 'channel=market_data:AAPL')
    await listener.until('price_update')
    await publish(hub, 'market_data:AAPL', price(191))
    const [first, second] = await listener.until('price_update', 2)
    assert.deepEqual([first.data, second.data], [price(190), price(191)])
    assert.equal(second.channel, 'market_data:AAPL')
    assert.equal(second.offset, 2)
    assert.deepEqual(listener.of('price_update').map(frame => frame.lastEventId), [1, 2].map(offset => `${second.epoch}:${offset}`))
  })

  it('hears several channels over one connection', async t => {
    const hub = await Hub.start(t)
    const listener = new Listener(t, hub, `channel=market_data:AAPL&channel=${FILLS}`)
    await listener.until('subscription_confirmed', 2)
    await publish(hub, 'market_data:AAPL', price(190))
    await publish(hub, FILLS, fill(1))
    assert.equal((await listener.until('price_update'))[0].data.price, 190)
    assert.deepEqual(await listener.quantities(1), [1])
  })

  it('goes on by itself where it stopped when the hub is killed and started again', async t => {
    const flags = durable(t)
    const hub = await Hub.start(t, { flags })
    const listener = new Listener(t, hub, `channel=${FILLS}`)
    await listener.until('subscription_confirmed')
    await publish(hub, FILLS, fill(1))
    await listener.quantities(1)
    await hub.stop('SIGKILL')
    const next = await Hub.start(t, { address: hub.address, flags })
    for (const quantity of [2, 3]) await publish(next, FILLS, fill(quantity))
    assert.deepEqual(await listener.quantities(3), [1, 2, 3])
    const [, again] = await listener.until('subscription_confirmed', 2)
    assert.equal(again.recovered, true)
    await publish(next, FILLS, fill(4))
    assert.deepEqual(await listener.quantities(4), [1, 2, 3, 4])
  })

  it('goes on by itself after a planned restart, also where it comes back while the hub still leaves', async t => {
    const flags = durable(t)
    const config = '[drain]\nwindow_s = 3\n'
    const hub = await Hub.start(t, { config, flags })
    // So many take the hub a moment to send away, in which nobody new is let in.
    const listeners = Array.from({ length: 60 }, () => new Listener(t, hub, `channel=${FILLS}`))
    for (const listener of listeners) await listener.until('subscription_confirmed')
    await publish(hub, FILLS, fill(1))
    for (const listener of listeners) await listener.quantities(1)
    const stopped = hub.stop('SIGTERM')
    await until(() => listeners.some(listener => listener.of('closed').length > 0), 'one is sent away')
    const late = new Listener(t, hub, `channel=${FILLS}`)
    await late.until('refusal')
    await stopped
    const next = await Hub.start(t, { address: hub.address, config, flags })
    for (const quantity of [2, 3]) await publish(next, FILLS, fill(quantity))
    for (const listener of listeners) assert.deepEqual(await listener.quantities(3), [1, 2, 3])
    await late.until('subscription_confirmed')
    assert.deepEqual(listeners.filter(({ source }) => source.readyState !== EventSource.OPEN), [])
  })

  it('misses nothing either when it had heard nothing yet', async t => {
    const flags = durable(t)
    const hub = await Hub.start(t, { flags })
    await publish(hub, FILLS, fill(1))
    const listener = new Listener(t, hub, `channel=${FILLS}`)
    await listener.until('subscription_confirmed')
    await hub.stop('SIGKILL')
    const next = await Hub.start(t, { address: hub.address, flags })
    await publish(next, FILLS, fill(2))
    await listener.until('subscription_confirmed', 2)
    await publish(next, FILLS, fill(3))
    assert.deepEqual(await listener.quantities(2), [2, 3])
  })

  it('is told where something is missing', async t => {
    const hub = await Hub.start(t, { config: '[[channel]]\ntemplate = "ticks:{symbol}"\ntype = "trade"\ndelivery = "every"\nkeep = { count = 2 }\n' })
    const published = []
    for (const quantity of [1, 2, 3, 4]) published.push(await publish(hub, 'ticks:AAPL', fill(quantity)))
    const listener = new Listener(t, hub, `channel=ticks:AAPL&last_event_id=${published[0].epoch}:1`)
    assert.deepEqual(await listener.quantities(2), [3, 4])
    const [gap] = await listener.until('gap')
    assert.deepEqual([gap.from, gap.to, gap.reason], [2, 2, 'trimmed'])
  })

  it('hears a heartbeat while nothing comes', async t => {
    const hub = await Hub.start(t, { config: '[limits]\nheartbeat_s = 1\n' })
    const listener = new Listener(t, hub, `channel=${FILLS}`)
    const [beat] = await listener.until('heartbeat')
    assert(Math.abs(Date.parse(beat.time) - Date.now()) < 60_000)
  })

  it('gets all while another listener never reads', async t => {
    const hub = await Hub.start(t)
    const [host, port] = hub.address.split(':')
    const stuck = connect({ host, port })
    t.after(() => stuck.destroy())
    stuck.on('error', () => {}).pause()
    stuck.write(`GET /events?channel=${FILLS} HTTP/1.1\r\nHost: ${hub.address}\r\n\r\n`)
    const listener = new Listener(t, hub, `channel=${FILLS}`)
    await listener.until('subscription_confirmed')
    await until(async () => (await (await fetch(`http://${hub.address}/stats`)).json()).subscriptions >= 2, 'both are subscribed')
    const reasons = 'x'.repeat(20_000)
    const count = 600
    for (let quantity = 1; quantity <= count; quantity += 1) await publish(hub, FILLS, { ...fill(quantity), reasons })
    assert.deepEqual(await listener.quantities(count), Array.from({ length: count }, (_, at) => at + 1))
    assert.equal(stuck.bytesRead, 0)
  })
})

describe('curl -N', () => {
  const curl = (t, hub, query, ...flags) => new Program(t, 'curl', ['--silent', '--show-error', '-N', ...flags, `http://${hub.address}/events?${query}`])

  it('prints events as they come, and resumes from Last-Event-ID', async t => {
    const hub = await Hub.start(t)
    const stream = curl(t, hub, `channel=${FILLS}`)
    await stream.line(/^event: subscription_confirmed$/)
    assert.match(stream.lines[0], /^retry: \d+$/)
    for (const quantity of [1, 2]) await publish(hub, FILLS, fill(quantity))
    const id = await stream.line(/^id: \w+:1$/)
    await stream.line(/^data: .*"quantity":2/)
    assert.equal(stream.lines[stream.lines.indexOf(id) + 1], 'event: trade')
    const resumed = curl(t, hub, `channel=${FILLS}`, '-H', `Last-Event-ID: ${id.slice('id: '.length)}`)
    await resumed.line(/^data: .*"quantity":2/)
    assert.equal(resumed.lines.filter(line => line.includes('"quantity":1')).length, 0)
  })

  it('is told by its status what is wrong', async t => {
    const hub = await Hub.start(t)
    for (const [query, status] of [['', 400], ['channel=a%20b', 400]]) {
      const answer = await fetch(`http://${hub.address}/events?${query}`)
      assert.equal(answer.status, status)
      assert.match((await answer.json()).error.code, /^\w+$/)
    }
  })
})

describe('EventSource in Chromium', { skip: process.env.CHROMIUM ? false : 'CHROMIUM names no browser' }, () => {
  it('hears a price in a page of the hub, and goes on after the hub was away', async t => {
    const { chromium } = packages('playwright-core')
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
    t.after(() => browser.close())
    const flags = durable(t)
    const hub = await Hub.start(t, { flags })
    const page = await browser.newPage()
    await page.goto(`http://${hub.address}/`)
    await page.evaluate(channel => {
      window.heard = []
      window.source = new EventSource(`/events?channel=${channel}`)
      window.source.addEventListener('trade', event => window.heard.push(JSON.parse(event.data).data.quantity))
      return new Promise(resolve => window.source.addEventListener('subscription_confirmed', resolve, { once: true }))
    }, FILLS)
    const heard = async count => {
      await until(async () => await page.evaluate(() => window.heard.length) >= count, `${count} fills`)
      return page.evaluate(() => window.heard)
    }
    await publish(hub, FILLS, fill(1))
    assert.deepEqual(await heard(1), [1])
    await hub.stop('SIGKILL')
    const next = await Hub.start(t, { address: hub.address, flags })
    await publish(next, FILLS, fill(2))
    await publish(next, FILLS, fill(3))
    assert.deepEqual(await heard(3), [1, 2, 3])
    await pause(200)
    assert.deepEqual(await heard(3), [1, 2, 3])
  })
})
