// A real Redis that ends with a test: Debian's redis-server, on a free port of the loopback, keeping nothing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { within } from './hub.mjs'

const freePort = () => new Promise((resolve, reject) => {
  const server = createServer().on('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => resolve(port))
  })
})

/** Answers its URL. */
export async function startRedis(t) {
  const folder = mkdtempSync(join(tmpdir(), 'tapeline-documents-'))
  const port = await freePort()
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder]
  const process = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(process, 'exit')
  t.after(async () => {
    process.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  await within(new Promise((resolve, reject) => {
    let said = ''
    process.stdout.on('data', text => {
      if ((said += text).includes('Ready to accept connections')) resolve()
    })
    process.on('error', reject)
    process.on('exit', code => reject(new Error(`redis-server ended with ${code}: ${said}`)))
  }), () => 'redis-server starts')
  return `redis://127.0.0.1:${port}`
}


/** What it replies to an inline command, as it came. */
const ask = (url, command) => new Promise((resolve, reject) => {
  const { hostname, port } = new URL(url)
  const socket = createConnection({ host: hostname, port }, () => socket.write(`${command}\r\n`))
  socket.on('error', reject).on('data', reply => {
    socket.destroy()
    resolve(String(reply))
  })
})

/** Waits until somebody hears the channel: what is published before that is nobody's. */
export const heard = (url, channel) => within((async () => {
  while (!/:[1-9]\d*\r\n$/.test(await ask(url, `PUBSUB NUMSUB ${channel}`))) {
    await new Promise(resolve => setTimeout(resolve, 10))
  }
})(), () => `somebody hears ${channel}`)
