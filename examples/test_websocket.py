#!/usr/bin/env python3
"""Tests the connection to a running hub, step by step, and says what arrived and how fast.

    python3 examples/test_websocket.py [ws://localhost:8002]

Needs Python 3.10 and the package websockets (python3 -m pip install websockets). The hub is the one named, else
WEBSOCKET_URL, else ws://localhost:8002. Ends with 0 if everything arrived, with 1 if not.
"""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request

try:
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException
except ImportError:
    print("The Python package websockets (13 or newer) is missing. Install it, then run this again:\n")
    print("    python3 -m pip install websockets\n")
    print("Where pip refuses to install system-wide, first make an environment of your own:\n")
    print("    python3 -m venv .venv && . .venv/bin/activate")
    sys.exit(1)

SYMBOL = "TEST-CONNECTION"
BOOKS = 20
PATIENCE_S = 5.0


class Failed(Exception):
    """A step did not do what it should; the text says what to look at."""


def addresses(args):
    """The hub's WebSocket and HTTP addresses, without a path."""
    url = args[0] if args else os.environ.get("WEBSOCKET_URL", "ws://localhost:8002")
    scheme, _, rest = url.partition("://")
    secure = {"ws": False, "http": False, "wss": True, "https": True}.get(scheme)
    host = rest.split("/")[0]
    if secure is None or not host:
        raise Failed(f"{url} is no address of a hub; give one such as ws://localhost:8002")
    return (f"wss://{host}", f"https://{host}") if secure else (f"ws://{host}", f"http://{host}")


def ask(url, body=None):
    """GET, or POST with a body; answers the status and the JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except ValueError:
        raise Failed(f"{url} answers, but not as a hub does; is another program at this port?") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Failed(f"nothing answers at {url}: {reason}\n        Is the hub running there? "
                     "Start one with: tapeline serve --listen 127.0.0.1:8002") from None


def check_health(http):
    status, health = ask(f"{http}/health")
    if status != 200:
        raise Failed(f"the hub says that it is not well: {status} {health}")
    return f"version {health.get('version', 'unknown')}, {health.get('status', 'unknown')}"


async def heard(socket, kind):
    """The next frame of this type; others, as heartbeats are, are passed over."""
    while True:
        try:
            frame = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
        except asyncio.TimeoutError:
            raise Failed(f"no {kind} came within {PATIENCE_S:g} s") from None
        if frame.get("type") == "error":
            raise Failed(f"the hub refuses: {frame.get('message')}")
        if frame.get("type") == kind:
            return frame


async def subscribe(socket):
    await socket.send(json.dumps({"action": "subscribe", "symbol": SYMBOL}))
    confirmed = await heard(socket, "subscription_confirmed")
    if confirmed.get("symbol") != SYMBOL:
        raise Failed(f"another symbol was confirmed: {confirmed}")
    return f"{confirmed['channel']} is confirmed"


async def arrival(socket, book):
    """Awaits the update with this book; answers it and the time at which it came."""
    while (update := await heard(socket, "orderbook_update"))["data"] != book:
        # The channel's last value from an earlier run, or somebody else's test.
        pass
    return update, time.perf_counter()


async def broadcast(socket, http):
    """Broadcasts books one after another and awaits each; answers the latencies in milliseconds."""
    latencies = []
    for n in range(1, BOOKS + 1):
        book = {"symbol": SYMBOL, "bids": [[100.0 + n, 10]], "asks": [[100.5 + n, 12]], "timestamp": time.time()}
        arrived = asyncio.create_task(arrival(socket, book))
        start = time.perf_counter()
        status, answer = await asyncio.to_thread(ask, f"{http}/broadcast/orderbook?symbol={SYMBOL}", book)
        if status != 200 or answer["subscribers"] < 1:
            arrived.cancel()
            raise Failed(f"the broadcast was answered with {status} {answer}")
        update, end = await arrived
        if update.get("symbol") != SYMBOL:
            raise Failed(f"the update names another symbol: {update}")
        latencies.append((end - start) * 1_000)
    return latencies


def step(name, outcome):
    print(f"ok      {name}: {outcome}")


async def run(args):
    ws, http = addresses(args)
    print(f"testing the hub at {ws}")
    step("health", check_health(http))
    try:
        async with connect(f"{ws}/ws/test-websocket", open_timeout=PATIENCE_S) as socket:
            step("connect", f"{ws}/ws/test-websocket is open")
            step("subscribe", await subscribe(socket))
            latencies = sorted(await broadcast(socket, http))
            step("broadcast", f"{len(latencies)} order books sent, {len(latencies)} arrived as they were sent")
            middle, last = latencies[len(latencies) // 2], latencies[-1]
            step("latency", f"request to arrival: median {middle:.1f} ms, slowest {last:.1f} ms")
            await socket.send(json.dumps({"action": "unsubscribe", "symbol": SYMBOL}))
            await heard(socket, "unsubscription_confirmed")
            step("unsubscribe", "confirmed")
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Failed(f"the WebSocket at {ws}/ws/test-websocket failed: {error}") from None


def main():
    try:
        asyncio.run(run(sys.argv[1:]))
    except Failed as failure:
        print(f"FAILED  {failure}")
        return 1
    except KeyboardInterrupt:
        return 1
    print("everything works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
