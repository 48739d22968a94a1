// The Redis door with the clients that teams already have, as they are: ioredis, node-redis (RESP 3 and RESP 2), redis-py old and
// new, redis-cli and redis-benchmark. Replies are compared with a real Redis' in crates/tapeline-cli/tests/redis_door.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Hub, REDIS_DOOR, packages, startPython, until, within } from './hub.mjs'

const Ioredis = packages('ioredis').default ?? packages('ioredis')

const start = (t, options) => Hub.start(t, { flags: REDIS_DOOR, ...options })

/** Runs a program to its end; answers what it printed. */
async function run(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', text => { said += text })
  child.stderr.on('data', text => { said += text })
  const [code] = await within(once(child, 'close'), () => `${program} ${args.join(' ')}: ${said}`)
  assert.equal(code, 0, said)
  return said
}

const port = hub => hub.redis.split(':').at(-1)

/** What both node clients are asked; `client` has ioredis' method names in lower case. */
async function conversation(client) {
  assert.equal(await client.set('foo', 'bar'), 'OK')
  assert.equal(await client.get('foo'), 'bar')
  assert.equal(await client.get('missing'), null)
  assert.equal(await client.incr('n'), 1)
  // The oldest of them answers true.
  assert.equal(Number(await client.expire('n', 100)), 1)
  assert.equal(await client.ttl('n'), 100)
  assert.equal(await client.del('n'), 1)
}

describe('ioredis', () => {
  it('asks, subscribes, runs transactions and pipelines', async t => {
    const hub = await start(t)
    const [client, listener] = [new Ioredis(hub.redis), new Ioredis(hub.redis)]
    t.after(() => [client, listener].forEach(one => one.disconnect()))
    await conversation(client)
    await client.hset('user:7', { name: 'Ann', age: '40' })
    assert.deepEqual(await client.hgetall('user:7'), { name: 'Ann', age: '40' })
    assert.deepEqual(await client.multi().set('a', '1').incr('a').get('a').exec(), [[null, 'OK'], [null, 2], [null, '2']])
    assert.deepEqual(await client.pipeline().get('a').get('missing').exec(), [[null, '2'], [null, null]])
    const heard = []
    listener.on('message', (channel, text) => heard.push([channel, text]))
    listener.on('pmessage', (pattern, channel, text) => heard.push([pattern, channel, text]))
    assert.equal(await listener.subscribe('news.a', 'news.b'), 2)
    assert.equal(await listener.psubscribe('news.*'), 3)
    assert.equal(await client.publish('news.a', '{"x":1}'), 2)
    await until(() => heard.length === 2, () => JSON.stringify(heard))
    assert.deepEqual(heard.sort((a, b) => a.length - b.length), [['news.a', '{"x":1}'], ['news.*', 'news.a', '{"x":1}']])
    await assert.rejects(client.lpush('list', '1'), /unknown command 'lpush', with args beginning with: 'list' '1' /)
    const found = []
    for await (const keys of client.scanStream({ match: 'user:*' })) found.push(...keys)
    assert.deepEqual(found, ['user:7'])
  })

  it('comes back after the hub was gone, and hears on', async t => {
    const hub = await start(t)
    const listener = new Ioredis(hub.redis, { retryStrategy: () => 50 })
    t.after(() => listener.disconnect())
    listener.on('error', () => {})
    const heard = []
    listener.on('message', (_, text) => heard.push(text))
    await listener.subscribe('c')
    await hub.stop('SIGKILL')
    const again = await Hub.start(t, { flags: ['--redis-listen', new URL(hub.redis).host] })
    const publisher = new Ioredis(again.redis)
    t.after(() => publisher.disconnect())
    await until(async () => await publisher.publish('c', 'after') === 1, 'the listener is back')
    await until(() => heard.includes('after'), () => JSON.stringify(heard))
  })
})

describe('node-redis', () => {
  for (const [name, RESP] of [['redis', 3], ['redis', 2], ['redis-4', undefined]]) {
    it(`asks and subscribes (${name}, RESP ${RESP ?? 'as it comes'})`, async t => {
      const hub = await start(t)
      const { createClient } = packages(name)
      const client = createClient({ url: hub.redis, ...RESP && { RESP } })
      client.on('error', () => {})
      t.after(() => client.disconnect().catch(() => {}))
      await client.connect()
      await conversation(client)
      await client.hSet('user:7', { name: 'Ann', age: '40' })
      assert.deepEqual({ ...await client.hGetAll('user:7') }, { name: 'Ann', age: '40' })
      assert.deepEqual(await client.multi().set('a', '1').incr('a').exec(), ['OK', 2])
      const listener = client.duplicate()
      listener.on('error', () => {})
      t.after(() => listener.disconnect().catch(() => {}))
      await listener.connect()
      const heard = []
      await listener.subscribe('news.a', text => heard.push(text))
      await listener.pSubscribe('news.*', (text, channel) => heard.push(`${channel} ${text}`))
      assert.equal(await client.publish('news.a', 'hello'), 2)
      await until(() => heard.length === 2, () => JSON.stringify(heard))
      assert.deepEqual(heard.sort(), ['hello', 'news.a hello'])
      await listener.unsubscribe('news.a')
      assert.equal(await client.publish('news.a', 'hello'), 1)
    })
  }
})

describe('redis-py', () => {
  for (const old of [false, true]) {
    it(`asks, subscribes and runs pipelines, in threads and in asyncio (${old ? '5.0' : 'the newest'})`, async t => {
      const hub = await start(t)
      const script = startPython(t, 'redis_client.py', [hub.redis], { old })
      assert.equal(await script.end(), 0, `${script.lines.join('\n')}\n${script.errors}`)
    })
  }
})

describe('go-redis', () => {
  for (const RESP of ['2', '3']) {
    const skip = process.env.GO_CLIENT ? false : 'NOT RUN: there is no Go, or its modules cannot be had'
    it(`asks, subscribes and runs transactions (RESP ${RESP})`, { skip }, async t => {
      const hub = await start(t)
      assert.match(await run(process.env.GO_CLIENT, [`127.0.0.1:${port(hub)}`, RESP]), /passed in RESP/)
    })
  }
})

describe('Redis\' own programs', () => {
  it('redis-cli asks, and scans', async t => {
    const hub = await start(t)
    const cli = (...words) => run('redis-cli', ['-p', port(hub), ...words])
    assert.equal(await cli('PING'), 'PONG\n')
    assert.equal(await cli('-3', 'HSET', 'user:7', 'name', 'Ann'), '1\n')
    assert.match(await cli('INFO'), /redis_version:7\.0\.15\r?\n/)
    assert.equal(await cli('--scan', '--pattern', 'user:*'), 'user:7\n')
    assert.match(await cli('LPUSH', 'a', 'b'), /^ERR unknown command 'LPUSH'/)
  })

  it('redis-benchmark measures, pipelined and not', async t => {
    const hub = await start(t)
    for (const more of [[], ['-P', '16']]) {
      const said = await run('redis-benchmark', ['-p', port(hub), '-n', '2000', '-q', '-t', 'ping,set,get,incr,hset,mset', ...more])
      assert.doesNotMatch(said, /ERR|Error/)
      for (const test of ['PING_MBULK', 'SET', 'GET', 'INCR', 'HSET', 'MSET']) assert.match(said, new RegExp(`${test}.*requests per second`))
    }
    const publish = ['-n', '2000', '-q', '-P', '16', 'PUBLISH', 'c', 'hello']
    assert.match(await run('redis-benchmark', ['-p', port(hub), ...publish]), /requests per second/)
  })
})
