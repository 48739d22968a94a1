"""The clients of the duel: the same for both stacks. They speak the documents' protocol and count by themselves."""

import asyncio
import base64
import json
import os
import socket
import time
from collections import Counter

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

# The document's client waits so long before its first attempt to connect again, then twice as long, at most five times.
FIRST_DELAY_S = 1.0
ATTEMPTS = 5


class Client:
    """Subscribes, counts by number what comes, connects again. Where the server says offsets, it asks to go on from the last."""

    def __init__(self, url, name, channel):
        self.url = f"{url}/ws/{name}"
        self.channel = channel
        self.got = Counter()
        self.late_s = []
        self.told = []
        self.stands = asyncio.Event()
        self.place = None
        self.task = asyncio.create_task(self.run())

    async def run(self):
        failed = 0
        while failed < ATTEMPTS:
            try:
                # Without compression, so that it is not its cost that is compared.
                async with connect(self.url, max_size=None, open_timeout=5, compression=None) as hub:
                    asked = {"action": "subscribe", "channel": self.channel}
                    if self.place:
                        asked["since"] = self.place
                    await hub.send(json.dumps(asked))
                    failed = 0
                    async for text in hub:
                        self.take(json.loads(text))
            except (OSError, WebSocketException, asyncio.TimeoutError):
                pass
            self.stands.clear()
            await asyncio.sleep(FIRST_DELAY_S * 2**failed)
            failed += 1

    def take(self, message):
        kind = message["type"]
        if kind == "subscription_confirmed":
            self.stands.set()
        elif kind in ("new_signal", "price_update"):
            if "n" in message["data"]:
                self.got[message["data"]["n"]] += 1
            if "offset" in message:
                self.place = {"offset": message["offset"], "epoch": message["epoch"]}
        elif kind != "heartbeat":
            self.told.append((time.monotonic(), message))

    def missed(self, numbers):
        return sum(n not in self.got for n in numbers)

    def twice(self, numbers):
        return sum(self.got[n] > 1 for n in numbers)

    async def leave(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class StuckReader:
    """Subscribes and never reads again, as a tab does that was put to sleep, or a laptop with its lid closed."""

    def __init__(self, address, name, channel):
        self.socket = socket.socket()
        # Before the connection: it decides how much the kernel takes in our place.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(address)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /ws/{name} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        said = b""
        while b"\r\n\r\n" not in said:
            said += self.socket.recv(1)
        text = json.dumps({"action": "subscribe", "channel": channel}).encode()
        # A text frame, masked with zeros.
        self.socket.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)

    def leave(self):
        self.socket.close()
