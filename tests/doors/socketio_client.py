"""The official Python client on the Socket.IO door: what everybody hears, a room, an answer, a publish.

Arguments: the hub's URL, and websocket, polling or both.
"""

import sys
import threading

import socketio

URL, TRANSPORT = sys.argv[1:]
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "both": ["polling", "websocket"]}[TRANSPORT]
PATIENCE_S = 20

client = socketio.Client(reconnection=False)
signalled, updated = threading.Event(), threading.Event()
heard = []


@client.on("new_signal")
def on_signal(data):
    heard.append(data)
    signalled.set()


@client.on("price_update")
def on_price(data):
    heard.append(data)
    updated.set()


client.connect(URL, transports=TRANSPORTS)
print("connected", client.transport(), flush=True)
assert signalled.wait(PATIENCE_S), "no signal came"
assert heard[0] == {"type": "BUY", "price": 60000}, heard

confirmed = client.call("subscribe", "market_data:AAPL", timeout=PATIENCE_S)
assert confirmed["type"] == "subscription_confirmed", confirmed
price = {"symbol": "AAPL", "price": 1.5, "change": 0, "volume": 1}
published = client.call("publish", {"channel": "market_data:AAPL", "data": price}, timeout=PATIENCE_S)
assert published["offset"] == 1, published
assert updated.wait(PATIENCE_S), "no price came"
assert heard[-1] == price, heard
refused = client.call("subscribe", "no good name", timeout=PATIENCE_S)
assert refused["code"] == "bad_channel", refused
client.disconnect()
print("done", flush=True)
