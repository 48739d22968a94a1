// What the tests beside this file stand on: a hub, a Redis and a Python that has the documents' libraries.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Hub, Program, python } from './hub.mjs'

it('a hub, and the libraries of the documents\' stack', async t => {
  const hub = await Hub.start(t)
  assert.equal((await fetch(`http://${hub.address}/health`)).status, 200)
  const script = 'import fastapi, httpx, redis.asyncio, socketio, uvicorn, websockets; print("there")'
  await new Program(t, python, ['-c', script]).line(/^there$/)
})
