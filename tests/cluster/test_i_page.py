"""The newcomer's page: from pods in the cluster, and from a laptop by kubectl port-forward."""
import socket
import subprocess
import sys
import threading
import time

import pytest
from harness import machine
from harness.kube import topic
from harness.wait import until

CONSUMER = """
from kafka import KafkaConsumer
consumer = KafkaConsumer('sample', bootstrap_servers='{bootstrap}')
for message in consumer:
    print(message, flush=True)
"""

PRODUCER = """
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers='{bootstrap}')
producer.send('sample', b'Hello, World!')
producer.send('sample', key=b'message-two', value=b'This is Kafka-Python')
producer.flush()
"""


@pytest.fixture
def sample(demo):
    demo.apply(topic("sample", partitions=3))
    demo.wait_ready("kafkatopic", "sample")
    yield demo
    demo.delete("kafkatopic", "sample")


def hello(run, start, bootstrap):
    """The consumer started first, as on the page; what it prints."""
    consumer = start([sys.executable, "-u", "-c", CONSUMER.format(bootstrap=bootstrap)])
    seen = []
    threading.Thread(target=lambda: seen.extend(consumer.stdout), daemon=True).start()
    try:
        end = time.monotonic() + 60
        # A consumer without a group begins at the end: the producer is run until it has been seen.
        while time.monotonic() < end and not any("Hello, World!" in line for line in seen):
            run([sys.executable, "-c", PRODUCER.format(bootstrap=bootstrap)])
            time.sleep(1)
        until("both records are seen", lambda: any("Hello, World!" in line for line in seen)
              and any("This is Kafka-Python" in line for line in seen), 10)
    finally:
        consumer.kill()


def test_in_the_cluster(sample):
    hello(lambda command: machine.inside(*command), lambda command: machine.start_inside(*command),
          "demo-bootstrap:9092")


def test_by_port_forward(sample):
    forwards = [
        subprocess.Popen(["kubectl", "port-forward", f"pod/demo-{broker}", f"{9092 + broker}:9092"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for broker in range(3)
    ]

    def open_port(port):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    try:
        until("the forwards are up", lambda: all(open_port(9092 + broker) for broker in range(3)), 20)

        def start(command):
            return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        hello(lambda command: subprocess.run(command, check=True, timeout=60), start, "localhost:9092")
    finally:
        for forward in forwards:
            forward.kill()
