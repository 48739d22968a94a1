// What the tests beside this file share: the real binary, clients in Python, and what comes from several of them.
// `cargo xtask test --only doors` sets TAPELINE, PACKAGES, PYTHON, OLD_REDIS and CHROMIUM; by hand:
//
//   cargo build && npm ci --prefix tests/doors && node --test tests/doors/*.test.mjs

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Hub, within } from '../documents/hub.mjs'

export { Hub, within }
export { heard, startRedis } from '../documents/redis.mjs'

export const here = dirname(fileURLToPath(import.meta.url))
export const packages = createRequire(join(process.env.PACKAGES ?? here, 'package.json'))
export const python = process.env.PYTHON ?? 'python3'

/** Flags of a hub whose Redis door is open; then `hub.redis` is its URL. */
export const REDIS_DOOR = ['--redis-listen', '127.0.0.1:0']

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Waits until `holds` answers something true, which it answers. */
export async function until(holds, what) {
  const look = async () => {
    for (;;) {
      const found = await holds()
      if (found) return found
      await pause(10)
    }
  }
  return within(look(), () => typeof what === 'function' ? what() : what)
}

/** A program that ends with the test `t`: `lines` of its output, `line(test)` waits for one, `errors` is what it complains of. */
export class Program {
  constructor(t, command, args, { env = {}, cwd } = {}) {
    this.lines = []
    this.errors = ''
    this.process = spawn(command, args, { cwd, env: { ...process.env, PYTHONUNBUFFERED: '1', ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.ended = once(this.process, 'exit').catch(error => { this.errors += error.message })
    createInterface({ input: this.process.stdout }).on('line', line => this.lines.push(line))
    this.process.stderr.on('data', text => { this.errors += text })
    t.after(async () => {
      this.process.kill('SIGKILL')
      await this.ended
    })
  }

  /** The first line that passes the test, also one that came before. */
  async line(test, what = String(test)) {
    const said = () => `${what}; it said: ${this.lines.slice(-20).join('\n')}\n${this.errors}`
    const passes = line => test instanceof RegExp ? test.test(line) : test(line)
    return until(() => this.lines.find(passes) ?? (this.isOver() && Promise.reject(new Error(`it ended before ${said()}`))), said)
  }

  isOver() {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  /** Waits for its end; answers its exit code. */
  async end() {
    await within(this.ended, () => `the end; it said: ${this.lines.slice(-20).join('\n')}\n${this.errors}`)
    return this.process.exitCode
  }
}

/** A Python script beside this file (or at an absolute path); `old` runs it with the old redis-py. */
export const startPython = (t, script, args = [], { env = {}, old = false, cwd } = {}) => {
  const path = old ? { PYTHONPATH: process.env.OLD_REDIS ?? '' } : {}
  return new Program(t, python, [join(here, script), ...args], { env: { ...path, ...env }, cwd })
}
