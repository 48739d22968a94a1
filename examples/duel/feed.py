"""The feed of the duel: the same messages from the same seed, and the two ways of publishing them."""

import asyncio
import json
import random

import httpx
import redis.asyncio as redis

SIGNALS = "quantum_signals"
PRICES = "market_data:AAPL"


def signals(seed, first, count, size):
    """Signals numbered from `first`, each of about `size` bytes, as a strategy with its reasons would send them."""
    chance = random.Random(seed * 1_000_003 + first)
    price = 60_000.0
    made = []
    for n in range(first, first + count):
        price = round(price * (1 + chance.gauss(0, 0.001)), 2)
        reasons = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz ", k=size))
        made.append({"type": chance.choice(["BUY", "SELL"]), "price": price, "n": n, "reasons": reasons})
    return made


def prices(seed, count):
    """Prices that move."""
    chance = random.Random(seed)
    price, made = 190.0, []
    for _ in range(count):
        last, price = price, round(price + chance.choice([-0.02, -0.01, 0.01, 0.02]), 2)
        made.append({"symbol": "AAPL", "price": price, "change": round(price - last, 2), "volume": chance.randrange(100, 900)})
    return made


class ToRedis:
    """As the document's worker publishes. `unheard` counts what Redis gave to nobody, as it says itself."""

    def __init__(self, url):
        self.redis = redis.from_url(url)
        self.unheard = 0

    async def publish(self, channel, data):
        if await self.redis.publish(channel, json.dumps(data)) == 0:
            self.unheard += 1

    async def close(self):
        await self.redis.aclose()


class ToHub:
    """As a program publishes that wants to know that its message was taken: over HTTP, again until there is an answer, with a
    key by which the hub knows what it has already. `unheard` counts what was refused for good."""

    def __init__(self, url):
        self.http = httpx.AsyncClient(base_url=url, timeout=5.0)
        self.unheard = 0
        self.made = 0

    async def publish(self, channel, data):
        self.made += 1
        body = {"channel": channel, "data": data, "idempotency_key": f"duel-{self.made}"}
        while True:
            try:
                answer = await self.http.post("/publish", json=body)
                if answer.status_code < 500:
                    self.unheard += answer.status_code >= 400
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)

    async def close(self):
        await self.http.aclose()
