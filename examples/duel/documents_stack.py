"""The documents' stack as a team has it: FastAPI, redis-py, and WebSockets kept by hand.

The listener is that of "Redis Pub/Sub Architecture", as printed but for its channels; connections are kept as in the
WebSocket middleware's guide and FastAPI's own tutorial. Two things are better than printed: a client that fails is dropped
and does not end the listener, and what is sent is counted. Run by run.py: uvicorn documents_stack:app.
"""

import asyncio
import json
import os

import redis.asyncio as redis
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

TYPES = {"quantum_signals": "new_signal", "market_data:AAPL": "price_update"}

app = FastAPI()
redis_client = redis.from_url(os.getenv("REDIS_URL"))


class ConnectionManager:
    def __init__(self):
        self.subscriptions: dict[str, list[WebSocket]] = {channel: [] for channel in TYPES}
        self.heard = 0
        self.sent = 0

    async def broadcast(self, channel: str, data: dict):
        self.heard += 1
        message = {"type": TYPES[channel], "channel": channel, "data": data}
        for websocket in list(self.subscriptions[channel]):
            try:
                await websocket.send_json(message)
                self.sent += 1
            except Exception:
                self.disconnect(websocket)

    def disconnect(self, websocket: WebSocket):
        for subscribers in self.subscriptions.values():
            if websocket in subscribers:
                subscribers.remove(websocket)


clients = ConnectionManager()


async def redis_listener():
    pubsub = redis_client.pubsub()
    await pubsub.subscribe(*TYPES)
    while True:
        message = await pubsub.get_message(ignore_subscribe_messages=True)
        if message:
            await clients.broadcast(message["channel"].decode(), json.loads(message["data"]))


@app.on_event("startup")
async def startup_event():
    app.state.listener = asyncio.create_task(redis_listener())


@app.websocket("/ws/{client_id}")
async def talk(websocket: WebSocket, client_id: str):
    await websocket.accept()
    try:
        while True:
            asked = await websocket.receive_json()
            if asked["action"] == "subscribe":
                clients.subscriptions[asked["channel"]].append(websocket)
                await websocket.send_json({"type": "subscription_confirmed", "channel": asked["channel"]})
    except WebSocketDisconnect:
        clients.disconnect(websocket)


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/stats")
async def stats():
    return {"published": clients.heard, "delivered": clients.sent}
