"""Slow requests by the hundred (slowhttptest), while others use the hub as always.

Owns what "as always" means: every message of a publisher reaches a subscriber in order, and GET /health answers 200 in
time. Starts slowhttptest and stops it; the hub is somebody else's to start. With --strict the hub limits what comes from one
address and exempts who is here as always: then no more than the limit may be open, and others must have been turned away.
"""

import argparse
import asyncio
import http.client
import json
import re
import subprocess
import sys
import time

from websockets.asyncio.client import connect

SECONDS = 12
CONNECTIONS = 400
# A request of a good client, and a pause between two messages that come every 20 ms: far less than a slow request lasts,
# and more than other work on the machine costs.
HEALTH_S = 2.0
PAUSE_S = 2.0
CHANNEL = "slow.bystander"
# Where good clients come from: another address of this machine than the attackers'.
SOURCE = ("127.0.0.2", 0)
# As strict.toml has it, and the bystander's own.
CONNECTIONS_PER_ADDRESS = 100
OWN_CONNECTIONS = 10
END = "the last one"
COLOURS = re.compile("\x1b\\[[0-9;]*m")
OPEN = re.compile(r'^tapeline_connections{protocol="\w+"} (\d+)$', re.MULTILINE)


def modes(base, strict):
    """Each attack by its name: the flags of slowhttptest. Where connections are limited, two of them show it."""
    common = ["-c", str(CONNECTIONS), "-r", "200", "-l", str(SECONDS), "-p", "3"]
    # Of another type a body would be refused before it is read.
    json_to = ["-f", "application/json", "-u"]
    attacks = {
        "slow headers": ["-H", "-i", "3", "-x", "24", "-t", "GET", "-u", f"{base}/health", *common],
        "slow body": ["-B", "-i", "3", "-s", "65536", "-x", "24", "-t", "POST", *json_to, f"{base}/publish", *common],
        "slow read": ["-X", "-w", "8", "-y", "32", "-n", "3", "-z", "8", "-k", "3", "-u", f"{base}/openapi.json", *common],
        "many ranges": ["-R", "-a", "10", "-b", "3000", "-t", "HEAD", "-u", f"{base}/", *common],
    }
    return {name: attacks[name] for name in ("slow headers", "slow body")} if strict else attacks


class Bystander:
    """A publisher and a subscriber, and somebody who asks for the hub's health."""

    def __init__(self, port):
        self.port = port
        self.stops = False
        self.heard = 0
        self.worst_pause = 0.0
        self.worst_health = 0.0
        self.asked = 0
        self.most_open = 0

    async def publish(self, ws):
        is_last = False
        while not is_last:
            is_last = self.stops
            data = END if is_last else "a message"
            await ws.send(json.dumps({"action": "publish", "channel": CHANNEL, "data": data}))
            await asyncio.sleep(0.02)

    async def hear(self, ws):
        last = time.monotonic()
        while True:
            frame = json.loads(await asyncio.wait_for(ws.recv(), 10))
            if frame.get("channel") != CHANNEL:
                continue
            assert frame["offset"] == self.heard + 1, f"heard {self.heard}, then {frame}"
            self.heard = frame["offset"]
            now = time.monotonic()
            self.worst_pause = max(self.worst_pause, now - last)
            last = now
            if frame["data"] == END:
                return

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=SOURCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, answer.status
        return body.decode()

    def ask(self):
        start = time.monotonic()
        self.get("/health")
        self.worst_health = max(self.worst_health, time.monotonic() - start)
        self.asked += 1
        open_now = OPEN.findall(self.get("/metrics"))
        self.most_open = max(self.most_open, sum(int(count) for count in open_now))

    def turned_away(self):
        counts = json.loads(self.get("/stats"))["turned_away"]
        return counts["connections_per_address"] + counts["handshakes"]

    async def look(self):
        while not self.stops:
            await asyncio.to_thread(self.ask)
            await asyncio.sleep(0.05)

    async def watch(self, flags):
        url = f"ws://127.0.0.1:{self.port}/ws"
        async with connect(url, local_addr=SOURCE) as hears, connect(url, local_addr=SOURCE) as says:
            await hears.send(json.dumps({"action": "subscribe", "channel": CHANNEL}))
            confirmed = json.loads(await hears.recv())
            assert confirmed["type"] == "subscription_confirmed", confirmed
            self.heard = first = confirmed["offset"]
            tasks = [asyncio.create_task(part) for part in (self.publish(says), self.hear(hears), self.look())]
            attack = subprocess.Popen(["slowhttptest", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                said = await asyncio.wait_for(asyncio.to_thread(attack.communicate), SECONDS * 4)
            finally:
                attack.kill()
                self.stops = True
            await asyncio.gather(*tasks)
            self.heard -= first
            return COLOURS.sub("", said[0].decode(errors="replace"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--strict", action="store_true", help="the hub has strict.toml")
    given = parser.parse_args()
    port, faults, known = given.port, [], 0
    for name, flags in modes(f"http://127.0.0.1:{port}", given.strict).items():
        bystander = Bystander(port)
        said = asyncio.run(bystander.watch(flags))
        ended = [line.strip() for line in said.splitlines() if "Exit status" in line or "connections" in line]
        print(
            f"{name}: {bystander.heard} messages, worst pause {bystander.worst_pause * 1000:.0f} ms; /health asked "
            f"{bystander.asked} times, worst {bystander.worst_health * 1000:.0f} ms; {'; '.join(ended[-2:])}",
            flush=True,
        )
        if bystander.worst_pause > PAUSE_S or bystander.worst_health > HEALTH_S or bystander.asked < SECONDS:
            faults.append(name)
        if given.strict:
            turned_away = bystander.turned_away()
            print(f"{name}: at most {bystander.most_open} connections open, {turned_away - known} turned away", flush=True)
            if bystander.most_open > CONNECTIONS_PER_ADDRESS + OWN_CONNECTIONS or turned_away == known:
                faults.append(f"{name} was let in")
            known = turned_away
        if "Exit status" not in said:
            print(said[-2000:])
            faults.append(f"{name} did not run")
    if faults:
        sys.exit(f"others noticed: {', '.join(faults)}")


main()
