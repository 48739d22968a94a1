// The peer for fan-out, storm and WebSocket ingest: what a Node developer writes in an evening with `ws`.
// One JSON.parse per message in, one JSON.stringify per publish, one send per subscriber.
// With OFFSETS=1 it also counts per channel and answers `req`, so that `replay` can check itself against it.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const port = Number(process.argv[2]);
const offsets = process.env.OFFSETS === "1";
const channels = new Map();
const counts = new Map();

function publish(socket, { channel, data, req }) {
  const message = { type: "message", channel, data };
  if (offsets) {
    message.offset = (counts.get(channel) ?? 0) + 1;
    message.epoch = "node";
    counts.set(channel, message.offset);
  }
  const text = JSON.stringify(message);
  for (const subscriber of channels.get(channel) ?? []) subscriber.send(text);
  if (req !== undefined) socket.send(JSON.stringify({ type: "published", offset: message.offset, req }));
}

function subscribe(socket, channel) {
  let subscribers = channels.get(channel);
  if (!subscribers) channels.set(channel, (subscribers = new Set()));
  subscribers.add(socket);
  socket.subscribed.push(subscribers);
  socket.send(JSON.stringify({ type: "subscription_confirmed", channel }));
}

const server = createServer();
const hub = new WebSocketServer({ server, perMessageDeflate: false });
hub.on("connection", (socket) => {
  socket.subscribed = [];
  socket.on("message", (bytes) => {
    const message = JSON.parse(bytes);
    if (message.action === "publish") publish(socket, message);
    else if (message.action === "subscribe")
      for (const channel of message.channels ?? [message.channel]) subscribe(socket, channel);
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    for (const subscribers of socket.subscribed) subscribers.delete(socket);
  });
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
process.stdin.on("end", () => process.exit(0)).resume();
