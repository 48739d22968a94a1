"""What redis-py is used for, against the Redis door: `redis_client.py URL`. Fails with what is not as Redis has it."""

import asyncio
import sys
import time

import redis
import redis.asyncio


def wait(pubsub, kind):
    """The next message of this kind."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        message = pubsub.get_message(timeout=0.2)
        if message and message["type"] == kind:
            return message
    raise AssertionError(f"no {kind} came")


def commands(client):
    assert client.ping()
    assert client.set("foo", b"\xff\x00bytes")
    assert client.get("foo") == b"\xff\x00bytes"
    assert client.set("once", "1", nx=True, ex=100)
    assert client.set("once", "2", nx=True) is None
    assert client.ttl("once") == 100
    assert client.incr("n", 5) == 5
    assert client.hset("user:7", mapping={"name": "Ann", "age": 40}) == 2
    assert client.hgetall("user:7") == {b"name": b"Ann", b"age": b"40"}
    assert client.mget(["n", "missing"]) == [b"5", None]
    assert sorted(client.scan_iter(match="user:*")) == [b"user:7"]
    assert client.delete("foo", "missing") == 1
    with client.pipeline() as pipeline:
        pipeline.set("p", 1).incr("p").publish("c", "x").get("p")
        assert pipeline.execute() == [True, 2, 0, b"2"]
    with client.pipeline(transaction=False) as pipeline:
        pipeline.get("p").get("missing")
        assert pipeline.execute() == [b"2", None]
    try:
        client.lpush("list", 1)
    except redis.ResponseError as error:
        assert str(error).startswith("unknown command 'LPUSH'"), error
    else:
        raise AssertionError("there are no lists")


def channels(client):
    pubsub = client.pubsub()
    pubsub.subscribe("news.a")
    pubsub.psubscribe("news.*")
    assert wait(pubsub, "subscribe")["data"] == 1
    assert wait(pubsub, "psubscribe")["data"] == 2
    assert client.publish("news.a", b"\x00\xff") == 2
    kinds = {wait_any(pubsub)["type"] for _ in range(2)}
    assert kinds == {"message", "pmessage"}, kinds
    pubsub.ping("alive")
    assert wait(pubsub, "pong")["data"] == b"alive"
    assert client.pubsub_numsub("news.a") == [(b"news.a", 1)]
    pubsub.unsubscribe()
    assert wait(pubsub, "unsubscribe")["data"] == 1
    pubsub.close()


def wait_any(pubsub):
    message = None
    while message is None:
        message = pubsub.get_message(timeout=1)
    return message


async def together(url):
    client = redis.asyncio.from_url(url)
    pubsub = client.pubsub()
    await pubsub.subscribe("c")
    heard = []

    async def listen():
        async for message in pubsub.listen():
            if message["type"] == "message":
                heard.append(message["data"])
                if len(heard) == 500:
                    return

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.1)
    for n in range(500):
        await client.publish("c", n)
    await asyncio.wait_for(listening, 20)
    assert heard == [str(n).encode() for n in range(500)]
    await pubsub.unsubscribe()
    await client.aclose()


def main(url):
    versions = [2, 3] if redis.__version__ >= "5" else [2]
    for protocol in versions:
        client = redis.Redis.from_url(url, protocol=protocol, health_check_interval=1)
        commands(client)
        channels(client)
        client.flushdb()
        client.delete("user:7")
    asyncio.run(together(url))


main(sys.argv[1])
