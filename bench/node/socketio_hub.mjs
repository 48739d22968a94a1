// The peer for fan-out and latency over Socket.IO: the official server as its own documentation shows it. A room for each
// channel; `subscribe` joins and is acknowledged, `publish` emits to the room, which encodes a message once for all.
import { createServer } from "node:http";
import { Server } from "socket.io";

const port = Number(process.argv[2]);
const server = createServer();
const io = new Server(server, { serveClient: false });
io.on("connection", (socket) => {
  socket.on("subscribe", (channel, ack) => {
    socket.join(channel);
    if (ack) ack({ type: "subscription_confirmed", channel });
  });
  socket.on("publish", ({ channel, data }, ack) => {
    io.to(channel).emit("message", data);
    if (ack) ack({ type: "published", channel });
  });
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
process.stdin.on("end", () => process.exit(0)).resume();
