// The real binary for the tests beside this file and those of the live page, and where the packages that they use are installed.
// `cargo xtask test --only documents` sets TAPELINE and PACKAGES; by hand:
//
//   cargo build && npm ci --prefix tests/documents && node --test tests/documents/*.test.mjs

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const binary = process.env.TAPELINE ?? join(root, 'target/debug/tapeline')
export const packages = createRequire(join(process.env.PACKAGES ?? here, 'package.json'))

const PATIENCE_MS = 30_000

/** What `promise` brings, or a failure that says what was awaited. */
export async function within(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what()}`)), PATIENCE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A hub that ends with the test `t`. */
export class Hub {
  static async start(t, { address = '127.0.0.1:0', config, flags = [] } = {}) {
    const args = ['serve', '--listen', address, ...flags]
    if (config) {
      const folder = mkdtempSync(join(tmpdir(), 'tapeline-documents-'))
      t.after(() => rmSync(folder, { recursive: true }))
      writeFileSync(join(folder, 'tapeline.toml'), config)
      args.push('--config', join(folder, 'tapeline.toml'))
    }
    const hub = new Hub()
    hub.process = spawn(binary, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    hub.ended = once(hub.process, 'exit')
    t.after(() => hub.stop('SIGKILL'))
    // It names each of its doors, in no order to rely on.
    const doors = ['http', ...flags.includes('--redis-listen') ? ['redis'] : []]
    const addresses = await within(new Promise((resolve, reject) => {
      let said = ''
      hub.process.stdout.on('data', text => {
        said += text
        const found = doors.map(door => new RegExp(`listening on ${door}://(\\S+)\\s`).exec(said)?.[1])
        if (found.every(address => address)) resolve(found)
      })
      hub.process.on('error', reject)
      hub.process.on('exit', code => reject(new Error(`the hub ended with ${code}`)))
    }), () => `${binary} listens`)
    hub.address = addresses[0]
    if (addresses[1]) hub.redis = `redis://${addresses[1]}`
    return hub
  }

  /** Ends it; answers its exit code. */
  async stop(signal) {
    this.process.kill(signal)
    const [code] = await this.ended
    return code
  }

  async post(path, body) {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`http://${this.address}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    const json = await answer.json()
    assert.equal(answer.status, 200, JSON.stringify(json))
    return json
  }

  /** As the guide's backend does: answers how many subscribers there were. */
  async broadcast(symbol, book) {
    const { subscribers } = await this.post(`/broadcast/orderbook?symbol=${encodeURIComponent(symbol)}`, book)
    return subscribers
  }
}
