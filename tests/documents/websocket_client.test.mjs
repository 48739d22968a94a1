// The document's TypeScript client, as printed, against the real binary. What is asserted is that data arrives.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Watched } from './client.mjs'
import { Hub } from './hub.mjs'

const book = price => ({ bids: [[price, 100]], asks: [[price + 0.01, 200]] })

/** A hub and a client that has subscribed. */
async function corridor(t, symbol, options) {
  const hub = await Hub.start(t)
  const watched = new Watched(t, `chart-${symbol}`, hub.address, options)
  await watched.connect()
  watched.client.subscribe(symbol)
  await watched.until(`Subscribed to ${symbol}`)
  return { hub, watched }
}

describe('the WebSocketClient as printed', { concurrency: 4 }, () => {
  it('gets the books that are broadcast, with their symbol and as they were sent', async t => {
    const { hub, watched } = await corridor(t, 'AAPL')
    assert.equal(await hub.broadcast('AAPL', book(189.5)), 1)
    assert.equal(await hub.broadcast('TSLA', book(250)), 0, 'it has not asked for this one')
    const empty = { bids: [], asks: [] }
    await hub.broadcast('AAPL', empty)
    await watched.until('book AAPL', 2)
    assert.deepEqual(watched.books, [{ symbol: 'AAPL', data: book(189.5) }, { symbol: 'AAPL', data: empty }])
  })

  it('hears no more of a symbol after it has unsubscribed', async t => {
    const { hub, watched } = await corridor(t, 'AAPL')
    watched.client.unsubscribe('AAPL')
    await watched.until('frame unsubscription_confirmed')
    assert.equal(await hub.broadcast('AAPL', book(1)), 0)
  })

  it('passes over types that it does not know', async t => {
    const { hub, watched } = await corridor(t, 'AAPL')
    await hub.post('/publish', { channel: 'orderbook:AAPL', type: 'trading_halt', data: { until: 'noon' } })
    await watched.until('frame trading_halt')
    await hub.broadcast('AAPL', book(2))
    await watched.until('book AAPL')
    assert.deepEqual(watched.books, [{ symbol: 'AAPL', data: book(2) }])
    assert.equal(watched.happened.filter(what => what.includes('error')).length, 0)
  })

  it('lives with a client id that holds a slash', async t => {
    const { hub, watched } = await corridor(t, 'BTC/USD')
    assert.match(watched.sockets[0].url, /\/ws\/chart-BTC\/USD$/)
    assert.equal(await hub.broadcast('BTC/USD', book(66787.7)), 1)
    await watched.until('book BTC/USD')
    assert.deepEqual(watched.books, [{ symbol: 'BTC/USD', data: book(66787.7) }])
  })

  for (const signal of ['SIGKILL', 'SIGTERM']) {
    it(`reconnects after a second and subscribes again by itself when the hub is restarted (${signal})`, async t => {
      const { hub, watched } = await corridor(t, 'AAPL')
      await hub.stop(signal)
      await watched.until('WebSocket disconnected')
      const next = await Hub.start(t, { address: hub.address })
      await watched.until('Subscribed to AAPL', 2)
      assert.equal(await next.broadcast('AAPL', book(3)), 1)
      await watched.until('book AAPL')
      assert.deepEqual(watched.books, [{ symbol: 'AAPL', data: book(3) }])
      assert.equal(watched.delays[0], 1_000)
    })
  }

  it('tries five times, after 1, 2, 4, 8 and 16 s, while the hub stays away', async t => {
    const { hub, watched } = await corridor(t, 'AAPL', { haste: 100 })
    await hub.stop('SIGKILL')
    await watched.until('WebSocket disconnected', 6)
    assert.deepEqual(watched.delays, [1_000, 2_000, 4_000, 8_000, 16_000])
    assert.equal(watched.sockets.length, 6)
  })

  it('counts its attempts anew once it was connected', async t => {
    const { hub, watched } = await corridor(t, 'AAPL', { haste: 10 })
    await hub.stop('SIGKILL')
    await watched.until('WebSocket disconnected', 3)
    const next = await Hub.start(t, { address: hub.address })
    await watched.until('Subscribed to AAPL', 2)
    const before = watched.delays.length
    await next.stop('SIGKILL')
    await watched.until('Attempting to reconnect', before + 1)
    assert.equal(watched.delays[before], 1_000)
  })

  it('shows which limit it is over', async t => {
    const config = '[limits]\nsubscriptions_per_client = 1\nconnections_per_client = 2\n'
    const hub = await Hub.start(t, { config })
    const watched = new Watched(t, 'chart-AAPL', hub.address)
    await watched.connect()
    watched.client.subscribe('AAPL')
    watched.client.subscribe('TSLA')
    const said = 'WebSocket error: 2 subscriptions, the limit is 1 (limits.subscriptions_per_client)'
    await watched.until(said)
    await new Watched(t, 'chart-AAPL', hub.address).connect()
    const third = new Watched(t, 'chart-AAPL', hub.address)
    third.client.connect()
    await third.until('WebSocket error: 3 connections, the limit is 2 (limits.connections_per_client)')
    await third.until('WebSocket disconnected')
    assert.equal(await hub.broadcast('AAPL', book(4)), 1)
    await watched.until('book AAPL')
  })

  it('is counted per client id: viewers of one chart share theirs, others are not hurt', async t => {
    const hub = await Hub.start(t, { config: '[limits]\nconnections_per_client = 2\n' })
    for (const symbol of ['AAPL', 'AAPL', 'TSLA', 'MSFT']) {
      const watched = new Watched(t, `chart-${symbol}`, hub.address)
      await watched.connect()
      watched.client.subscribe(symbol)
      await watched.until(`Subscribed to ${symbol}`)
    }
    assert.equal(await hub.broadcast('AAPL', book(5)), 2)
  })
})

describe('errata: what the WebSocketClient as printed cannot do', { concurrency: 4 }, () => {
  it('subscribe before open sends nothing and remembers nothing', async t => {
    const hub = await Hub.start(t)
    const watched = new Watched(t, 'chart-AAPL', hub.address)
    watched.client.connect()
    watched.client.subscribe('AAPL')
    await watched.until('WebSocket connected')
    watched.client.subscribe('TSLA')
    await watched.until('Subscribed to TSLA')
    assert.equal(await hub.broadcast('AAPL', book(6)), 0)
    assert(!watched.happened.includes('Subscribed to AAPL'))
  })

  it('disconnect() connects again', async t => {
    const { watched } = await corridor(t, 'AAPL')
    watched.client.disconnect()
    await watched.until('Subscribed to AAPL', 2)
    assert.deepEqual(watched.delays, [1_000])
  })
})
