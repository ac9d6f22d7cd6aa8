"""Writes numbered records until its input ends, and prints the number of each that was acknowledged, at once:
`writer.py BOOTSTRAP TOPIC`. What the producer gave up is told on standard error as `NUMBER: why`.

Each number is sent once; it is the producer that tries again, as in any application.
"""
import os
import sys
import threading
import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

WAITING = 200

bootstrap, topic = sys.argv[1:3]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()


def connect():
    while not stop.is_set():
        try:
            return KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2, request_timeout_ms=5000,
                                 delivery_timeout_ms=120000, max_block_ms=60000, retry_backoff_ms=50,
                                 reconnect_backoff_ms=20, reconnect_backoff_max_ms=200)
        except KafkaError:
            time.sleep(0.2)
    sys.exit("no broker was reached")


def acknowledged(number):
    def tell(_):
        room.release()
        # One call a line: acknowledgements come on two threads, and print writes the line's end apart.
        os.write(1, b"%d\n" % number)
    return tell


def given_up(number):
    def tell(error):
        room.release()
        print(f"{number}: {error!r}", file=sys.stderr, flush=True)
    return tell


producer, number, room = connect(), 0, threading.Semaphore(WAITING)
while not stop.is_set():
    if not room.acquire(timeout=0.2):
        continue
    try:
        future = producer.send(topic, key=b"%d" % number, value=b"%d" % number)
        future.add_callback(acknowledged(number)).add_errback(given_up(number))
    except KafkaError as error:
        given_up(number)(error)
    number += 1
    time.sleep(0.001)
producer.flush(45)
