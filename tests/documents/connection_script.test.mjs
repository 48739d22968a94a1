// examples/test_websocket.py, as a user runs it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Hub, here } from './hub.mjs'

const python = process.env.PYTHON ?? 'python3'
const script = join(here, '../../examples/test_websocket.py')

const run = (...args) => new Promise(resolve => {
  execFile(python, args, { timeout: 30_000 }, (error, out, err) => resolve({ code: error ? error.code : 0, out, err }))
})

describe('the connection test script', { concurrency: 4 }, () => {
  it('ends with 0 against a running hub and says what arrived and how fast', async t => {
    const hub = await Hub.start(t)
    for (const address of [`ws://${hub.address}`, `ws://${hub.address}/ws`]) {
      const { code, out, err } = await run(script, address)
      assert.equal(code, 0, out + err)
      for (const step of ['health', 'connect', 'subscribe', 'broadcast', 'latency', 'unsubscribe']) {
        assert.match(out, new RegExp(`^ok      ${step}: `, 'm'))
      }
      assert.match(out, /20 order books sent, 20 arrived as they were sent/)
      assert.match(out, /median \d+\.\d ms/)
      assert.match(out, /^everything works$/m)
    }
  })

  it('ends with 1 and says how to start a hub where none runs', async t => {
    const hub = await Hub.start(t)
    await hub.stop('SIGKILL')
    const { code, out, err } = await run(script, `ws://${hub.address}`)
    assert.equal(code, 1, out + err)
    assert.match(out, /^FAILED  nothing answers at http:.*refused/m)
    assert.match(out, /tapeline serve --listen/)
    assert.equal(err, '')
  })

  it('ends with 1 and shows the limit that refused it', async t => {
    const hub = await Hub.start(t, { config: '[limits]\nsubscriptions_per_client = 0\n' })
    const { code, out } = await run(script, `ws://${hub.address}`)
    assert.equal(code, 1, out)
    assert.match(out, /^FAILED  the hub refuses: .*limits\.subscriptions_per_client/m)
  })

  it('names the package that is missing and how to install it', async () => {
    const { code, out, err } = await run('-S', '-E', script)
    assert.equal(code, 1, out + err)
    assert.match(out, /websockets .*is missing/)
    assert.match(out, /python3 -m pip install websockets/)
  })
})
