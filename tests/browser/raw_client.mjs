// A WebSocket client that can stop reading, which no library lets one do for certain: the bytes stay in the kernel.

import { connect } from 'node:net'
import { once } from 'node:events'

import { within } from '../documents/hub.mjs'

/** A connection to `/ws/{id}` that ends with the test `t`. What comes in is thrown away. */
export class RawClient {
  static async connect(t, hub, id) {
    const [host, port] = hub.address.split(':')
    const client = Object.assign(new RawClient(), { socket: connect({ host, port }) })
    t.after(() => client.socket.destroy())
    client.socket.write([`GET /ws/${encodeURIComponent(id)} HTTP/1.1`, `Host: ${hub.address}`, 'Connection: Upgrade',
      'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''].join('\r\n'))
    const [answer] = await within(once(client.socket, 'data'), () => 'the answer to the handshake')
    if (!String(answer).startsWith('HTTP/1.1 101')) throw new Error(String(answer))
    // From here on the hub may end whenever it likes.
    client.socket.on('error', () => {})
    client.readOn()
    return client
  }

  /** One text frame of at most 125 bytes, masked with zeros. */
  send(request) {
    const text = Buffer.from(JSON.stringify(request))
    if (text.length > 125) throw new Error('a frame of this length needs a longer head')
    this.socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
  }

  stopReading() { this.socket.pause() }

  readOn() { this.socket.on('data', () => {}).resume() }
}
