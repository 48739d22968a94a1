#!/usr/bin/env python3
"""The documents' stack beside Tapeline, on the same feed, through the same three accidents. Prints what each client missed.

    python3 examples/duel/run.py [--tapeline PATH] [--seed N] [--clients N] [--short] [--json]

Needs Linux, redis-server on the PATH, a built `tapeline` (cargo build --release) and the Python packages of requirements.txt.
Everything runs on free ports of this machine and is ended afterwards. README.md beside this file says what is compared.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from clients import Client, StuckReader
from feed import PRICES, SIGNALS, ToHub, ToRedis, prices, signals

HERE = Path(__file__).resolve().parent
STUCK = 10
SIZE = 20_000
SETTLED_S = 5.0
LATE_S = 20.0
DOWN_S = 2.0
FREEZES_AFTER = 40
PRICES_A_SECOND = 10
FROZEN_S = 16.0
PATIENCE_S = 30.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process, how=signal.SIGKILL):
    if process and process.poll() is None:
        process.send_signal(how)
        process.wait()


async def until(holds, patience_s):
    """Waits until that holds; answers whether it does."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


class Side:
    """A stack: how it is started, killed and asked. `port` stays the same when it is started again."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.server = None

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    async def start(self):
        log = open(self.folder / f"{type(self).__name__}.log", "ab")
        self.server = subprocess.Popen(self.command(), env=self.environment(), cwd=HERE, stdout=log, stderr=log)
        async with httpx.AsyncClient() as http:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.port}/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                if time.monotonic() > deadline or self.server.poll() is not None:
                    sys.exit(f"{self.name} does not start; see {log.name}")
                await asyncio.sleep(0.05)

    async def counted(self):
        """What the server has counted, or nothing where it does not answer."""
        try:
            async with httpx.AsyncClient(timeout=5.0) as http:
                return (await http.get(f"http://127.0.0.1:{self.port}/stats")).json()
        except (httpx.HTTPError, ValueError):
            return {}

    def resident_mib(self):
        """The server's memory, as the kernel counts it."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return round(int(status.split("VmRSS:")[1].split()[0]) / 1024)

    def environment(self):
        return os.environ

    def close(self):
        end(self.server)


class Documents(Side):
    name = "the documents' stack"

    def __init__(self, folder):
        super().__init__(folder)
        self.redis_port = free_port()
        redis = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.redis = subprocess.Popen(redis, stdout=subprocess.DEVNULL)
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}"

    def environment(self):
        return {**os.environ, "REDIS_URL": self.redis_url}

    def command(self):
        flags = ["--port", str(self.port), "--log-level", "warning", "--no-access-log"]
        return [sys.executable, "-m", "uvicorn", "documents_stack:app", *flags]

    def publisher(self):
        return ToRedis(self.redis_url)

    def close(self):
        super().close()
        end(self.redis)


class Tapeline(Side):
    name = "Tapeline"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary

    def command(self):
        return [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.folder / "data")]

    def publisher(self):
        return ToHub(f"http://127.0.0.1:{self.port}")


async def publish(publisher, channel, messages, a_second):
    """Publishes at a steady rate, in order."""
    began = time.monotonic()
    for at, data in enumerate(messages):
        await asyncio.sleep(max(0.0, began + at / a_second - time.monotonic()))
        await publisher.publish(channel, data)


async def ready(clients):
    if not await until(lambda: all(client.stands.is_set() for client in clients), PATIENCE_S):
        sys.exit(f"not every client of {clients[0].url} is subscribed")


def tally(clients, numbers):
    missed = [client.missed(numbers) for client in clients]
    return {
        "clients_missed": missed,
        "clients_got_twice": sum(client.twice(numbers) for client in clients),
        "clients_received": len(numbers) * len(clients) - sum(missed),
    }


async def beside_stuck_readers(side, publisher, clients, numbers, options):
    """Healthy clients and stuck readers on one channel."""
    stuck = [StuckReader(side.address, f"stuck-{n}", SIGNALS) for n in range(STUCK)]
    await asyncio.sleep(0.3)
    made = signals(options.seed, numbers.start, len(numbers), SIZE)
    before = side.resident_mib()
    await publish(publisher, SIGNALS, made, options.rate)
    await until(lambda: not any(client.missed(numbers) for client in clients), SETTLED_S)
    result = {"published": len(numbers), **tally(clients, numbers)}
    counted = await side.counted()
    result["server_counted"] = {name: counted.get(name) for name in ("published", "delivered")}
    result["grew_mib"] = side.resident_mib() - before
    for reader in stuck:
        reader.leave()
    # What was only late arrives now.
    await until(lambda: not any(client.missed(numbers) for client in clients), LATE_S)
    result["missed_for_good"] = [client.missed(numbers) for client in clients]
    return result


async def through_a_kill(side, publisher, clients, numbers, options):
    """The server is killed as the kernel does it when memory is short, and started again; the feed goes on."""
    made = signals(options.seed, numbers.start, len(numbers), 200)
    before = publisher.unheard
    feed = asyncio.create_task(publish(publisher, SIGNALS, made, options.rate))
    await asyncio.sleep(len(numbers) / options.rate / 4)
    end(side.server)
    await asyncio.sleep(DOWN_S)
    await side.start()
    await feed
    await until(lambda: not any(client.missed(numbers) for client in clients), SETTLED_S)
    return {"published": len(numbers), "unheard": publisher.unheard - before, **tally(clients, numbers)}


async def frozen_feed(side, publisher, seed):
    """The venue goes on sending, but always the same price: the line lives, the price does not."""
    client = Client(f"ws://127.0.0.1:{side.port}", "watcher", PRICES)
    await ready([client])
    moving = prices(seed, FREEZES_AFTER)
    await publish(publisher, PRICES, moving, PRICES_A_SECOND)
    client.told.clear()
    froze = time.monotonic()
    await publish(publisher, PRICES, [moving[-1]] * int(FROZEN_S * PRICES_A_SECOND), PRICES_A_SECOND)
    told = [(round(at - froze, 1), message) for at, message in client.told if message.get("state") == "frozen"]
    await client.leave()
    return {"waited_s": FROZEN_S, "told_after_s": told[0][0] if told else None, "told": told[0][1] if told else None}


async def duel(side, options):
    """The accidents that load the machine, one stack after the other."""
    await side.start()
    publisher = side.publisher()
    url = f"ws://127.0.0.1:{side.port}"
    clients = [Client(url, f"client-{n}", SIGNALS) for n in range(options.clients)]
    await ready(clients)
    count = options.messages
    result = {"stuck": await beside_stuck_readers(side, publisher, clients, range(count), options)}
    await ready(clients)
    result["kill"] = await through_a_kill(side, publisher, clients, range(count, 2 * count), options)
    for client in clients:
        await client.leave()
    await publisher.close()
    return result


async def frozen(side, seed):
    publisher = side.publisher()
    result = await frozen_feed(side, publisher, seed)
    await publisher.close()
    return result


def of(missed, published):
    if not any(missed):
        return "0"
    worst, least = max(missed), min(missed)
    return f"{worst} of {published}" if worst == least else f"{least} to {worst} of {published}"


def seconds(result):
    if result["told_after_s"] is None:
        return f"never (in {result['waited_s']:.0f} s)"
    return f"after {result['told_after_s']:.1f} s"


def table(results, options):
    """The figures, a column for each stack."""
    rows = [("", *results)]

    def row(text, figure):
        rows.append((text, *(figure(result) for result in results.values())))

    row(f"{options.clients} healthy clients beside {STUCK} stuck readers", lambda _: "")
    row("  published", lambda r: str(r["stuck"]["published"]))
    row("  the server counted as taken", lambda r: str(r["stuck"]["server_counted"]["published"]))
    row(f"  not there {SETTLED_S:.0f} s after the last", lambda r: of(r["stuck"]["clients_missed"], r["stuck"]["published"]))
    row(f"  not there {LATE_S:.0f} s after these left", lambda r: of(r["stuck"]["missed_for_good"], r["stuck"]["published"]))
    row("  the server counted as delivered", lambda r: str(r["stuck"]["server_counted"]["delivered"]))
    row("  received by healthy clients", lambda r: str(r["stuck"]["clients_received"]))
    row("  the server's memory grew by", lambda r: f"{r['stuck']['grew_mib']} MiB")
    row(f"kill -9, started again {DOWN_S:.0f} s later", lambda _: "")
    row("  published to nobody, the publisher says", lambda r: str(r["kill"]["unheard"]))
    row("  missed, a client", lambda r: of(r["kill"]["clients_missed"], r["kill"]["published"]))
    row("  got twice, all clients", lambda r: str(r["kill"]["clients_got_twice"]))
    row("a feed that repeats one price", lambda _: "")
    row("  the client is told", lambda r: seconds(r["frozen"]))
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def arguments():
    parser = argparse.ArgumentParser(description="The documents' stack beside Tapeline, on the same feed.")
    usual = os.environ.get("TAPELINE") or str(HERE.parent.parent / "target/release/tapeline")
    parser.add_argument("--tapeline", default=usual, help="the binary (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=8, help="of the feed (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="healthy clients (default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="fewer clients and messages")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON too")
    options = parser.parse_args()
    options.messages, options.rate = (500, 50) if not options.short else (300, 100)
    options.clients = 5 if options.short else options.clients
    for program in ("redis-server", options.tapeline):
        if not shutil.which(program):
            sys.exit(f"{program} is not there; see README.md beside this file")
    return options


async def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="duel-") as folder:
        sides = [Documents(Path(folder)), Tapeline(Path(folder), options.tapeline)]
        try:
            results = {}
            for side in sides:
                print(f"{side.name}: stuck readers, then kill -9 …", file=sys.stderr)
                results[side.name] = await duel(side, options)
            print("both: a feed that freezes …", file=sys.stderr)
            for side, result in zip(sides, await asyncio.gather(*(frozen(side, options.seed) for side in sides))):
                results[side.name]["frozen"] = result
        finally:
            for side in sides:
                side.close()
    print(table(results, options))
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    asyncio.run(main())
