// The document's client in a world of its own: the types are stripped, nothing else is changed. Its globals are given:
// `WebSocket` is that of the ws package, `process.env` holds its address, `console` is read, and `setTimeout` counts.

import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { here, packages, within } from './hub.mjs'

const ts = packages('typescript')
const WebSocket = packages('ws')

const source = readFileSync(join(here, 'websocket_client.ts'), 'utf8')
const { outputText } = ts.transpileModule(source, {
  compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
})

/** A client of the hub at `address`, and everything that happens to it in order. */
export class Watched {
  /** `haste`: so many times sooner than it asks is it called back. */
  constructor(t, clientId, address, { haste = 1 } = {}) {
    this.happened = []
    this.delays = []
    this.sockets = []
    this.more = new EventEmitter()
    const exports = {}
    const environment = {
      exports,
      WebSocket: this.countingSockets(),
      process: { env: { REACT_APP_WEBSOCKET_URL: `ws://${address}` } },
      console: {
        log: (...words) => this.note(words.join(' ')),
        error: (...words) => this.note(words.map(word => typeof word === 'string' ? word : inspect(word)).join(' ')),
      },
      setTimeout: (call, ms) => {
        this.delays.push(ms)
        const timer = setTimeout(call, ms / haste)
        t.after(() => clearTimeout(timer))
      },
    }
    new Function(...Object.keys(environment), outputText)(...Object.values(environment))
    this.client = new exports.WebSocketClient(clientId)
    this.books = []
    this.client.onOrderBookUpdate = (symbol, data) => {
      this.books.push({ symbol, data })
      this.note(`book ${symbol}`)
    }
    t.after(() => this.sockets.forEach(socket => {
      // As a page that is left: nothing of the client runs any more.
      socket.onclose = socket.onerror = null
      socket.on('error', () => {})
      socket.terminate()
    }))
  }

  countingSockets() {
    const watched = this
    return class extends WebSocket {
      constructor(...args) {
        super(...args)
        watched.sockets.push(this)
        this.on('message', data => watched.note(`frame ${JSON.parse(data).type}`))
      }
    }
  }

  note(what) {
    this.happened.push(what)
    this.more.emit('more')
  }

  /** Waits until `what` has happened so many times. */
  async until(what, times = 1) {
    const stop = new AbortController()
    const waiting = async () => {
      while (this.happened.filter(each => each.startsWith(what)).length < times) {
        await once(this.more, 'more', { signal: stop.signal })
      }
    }
    const said = () => `${what} (${times} times); happened: ${inspect(this.happened.slice(-40))}`
    await within(waiting(), said).finally(() => stop.abort())
  }

  /** Connects, as its user does. */
  async connect() {
    this.client.connect()
    await this.until('WebSocket connected')
  }
}
