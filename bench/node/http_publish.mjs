// The peer for HTTP ingest: a bare Node server that parses the body and answers. It publishes nothing.
import { createServer } from "node:http";

const port = Number(process.argv[2]);
let offset = 0;

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const message = JSON.parse(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    offset += 1;
    const body = JSON.stringify({ channel: message.channel, offset, subscribers: 0 });
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
process.stdin.on("end", () => process.exit(0)).resume();
