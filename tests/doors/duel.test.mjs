// The short duel of examples/duel: what it prints of the documents' stack is as measured; Tapeline's column is a promise.

import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import { it } from 'node:test'
import { Program, here, python } from './hub.mjs'

const SECONDS = 110

it('the duel: Tapeline loses nothing beside stuck readers and through kill -9, and tells of a frozen feed', { timeout: SECONDS * 1000 }, async t => {
  const script = join(dirname(dirname(here)), 'examples/duel/run.py')
  const duel = new Program(t, python, [script, '--short', '--json'])
  await Promise.race([duel.ended, new Promise(resolve => setTimeout(resolve, SECONDS * 1000).unref())])
  assert.equal(duel.process.exitCode, 0, duel.errors)
  const results = JSON.parse(duel.lines.at(-1))
  t.diagnostic(duel.lines.slice(0, -1).join('\n'))
  const { stuck, kill, frozen } = results.Tapeline
  const none = stuck.clients_missed.map(() => 0)
  assert(none.length >= 5)
  assert.equal(stuck.server_counted.published, stuck.published, 'the hub has taken what the feed has published')
  assert.deepEqual(stuck.clients_missed, none, 'healthy clients get all beside stuck readers')
  assert.equal(stuck.clients_received, stuck.published * none.length)
  assert(stuck.server_counted.delivered >= stuck.clients_received, 'what clients count, the hub has counted')
  assert.deepEqual(kill.clients_missed, none, 'nothing is lost through kill -9')
  assert.equal(kill.clients_got_twice, 0)
  assert.equal(frozen.told.state, 'frozen')
  assert(frozen.told_after_s < frozen.waited_s)
  // The other column is there and was measured on the same feed.
  assert.equal(results["the documents' stack"].stuck.published, stuck.published)
})
