"""Writes numbered records until its input ends, and says which were acknowledged: `writer.py BOOTSTRAP TOPIC`.

A record that was not acknowledged is sent again under the same number until it is, so every number is printed once, in
order for its partition.
"""
import sys
import threading
import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

bootstrap, topic = sys.argv[1:3]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()


def connect():
    while not stop.is_set():
        try:
            return KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, request_timeout_ms=5000,
                                 delivery_timeout_ms=20000, max_block_ms=20000)
        except KafkaError:
            time.sleep(0.2)
    sys.exit("no broker was reached")


producer, number = connect(), 0
while not stop.is_set():
    batch = range(number, number + 50)
    number += 50
    waiting = list(batch)
    while waiting:
        futures = []
        for one in waiting:
            try:
                futures.append((one, producer.send(topic, key=b"%d" % one, value=b"%d" % one)))
            except KafkaError:
                futures.append((one, None))
        again = []
        for one, future in futures:
            try:
                if future is None:
                    raise KafkaError("not sent")
                future.get(timeout=30)
                print(one, flush=False)
            except KafkaError as error:
                print(f"{one}: {error!r}", file=sys.stderr)
                again.append(one)
        waiting = [] if stop.is_set() else again
        if again:
            time.sleep(0.2)
    sys.stdout.flush()
    time.sleep(0.02)
