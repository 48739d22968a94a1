"""The worker of the document "Redis Pub/Sub Architecture", as printed but for its missing imports and the signal itself."""

# In app/workers/signal_monitor.py
import os
import redis
import json
import time

r = redis.Redis.from_url(os.getenv("REDIS_URL"))

new_signal_found = True


def monitor_market():
    while True:
        # ... logic to calculate signal ...
        if new_signal_found:
            signal_data = { "type": "BUY", "price": 60000 }
            r.publish('quantum_signals', json.dumps(signal_data))
            print("Published signal to Redis.", flush=True)
        time.sleep(60)


monitor_market()
