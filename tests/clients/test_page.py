"""The newcomer's page, as printed there: its commands with --bootstrap-server, its Python code untouched."""

import os
import re
import subprocess
import tempfile

import pytest

from harness import tools, venvs, wait
from harness.broker import Broker, External

CONSUMER = """\
from kafka import KafkaConsumer
consumer = KafkaConsumer('sample')
for message in consumer:
    print (message)
"""
PRODUCER = """\
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers='localhost:9092')
producer.send('sample', b'Hello, World!')
producer.send('sample', key=b'message-two', value=b'This is Kafka-Python')
"""
# Runs a program of the page with the library's log on stderr, which says when the consumer listens.
LISTENING = "import logging, sys; logging.basicConfig(level=logging.DEBUG); exec(compile(sys.argv[1], 'page', 'exec'))"
pytestmark = pytest.mark.xdist_group("port-9092")


@pytest.fixture(scope="module")
def page():
    """The broker that the page finds on localhost:9092: started with no settings at all."""
    external = os.environ.get("MILENA_TEST_BOOTSTRAP", "")
    if external:
        if not external.endswith(":9092"):
            pytest.skip("the page needs port 9092")
        yield External(external)
        return
    broker = Broker(port=9092)
    broker.config = {}
    broker.command = lambda: [*Broker.command(broker)[:1], "--data-dir", str(broker.data_dir)]
    broker.start()
    yield broker
    broker.close()


def topics(*arguments):
    return tools.must("topics", *arguments, "--bootstrap-server", "localhost:9092")


def start(environment, program, **more):
    return subprocess.Popen([venvs.python(environment), "-u", "-c", LISTENING, program], text=True, **more)


def shell(library):
    """The interactive Python shell of the page, which stays open after its last line."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([venvs.python(library), "-i"], stdin=subprocess.PIPE, text=True, **quiet)


@pytest.mark.parametrize("library", ["kafka-python-3.0.12", "kafka-python-1.3.5"])
def test_hello_world(page, library):
    if "sample" in topics("--list").split():
        topics("--delete", "--topic", "sample")
    topics("--create", "--replication-factor", "1", "--partitions", "1", "--topic", "sample")
    assert "sample" in topics("--list").split()
    assert "Topic: sample\tPartition: 0" in topics("--describe", "--topic", "sample")
    with tempfile.TemporaryFile("w+") as shown, tempfile.TemporaryFile("w+") as log:
        consumer = start(library, CONSUMER, stdout=shown, stderr=log)
        try:
            wait.until(lambda: "FetchRequest" in text(log), 20, "the consumer listening")
            with shell(library) as producer:
                producer.stdin.write(PRODUCER)
                producer.stdin.flush()
                wait.until(lambda: len(text(shown).splitlines()) == 2, 20, "two lines")
        finally:
            consumer.kill()
            consumer.wait()
        lines = text(shown).splitlines()
    assert re.match(r"ConsumerRecord\(topic='?sample'?, partition=0, ", lines[0])
    assert "offset=0" in lines[0] and "key=None" in lines[0] and "value=b'Hello, World!'" in lines[0]
    assert "offset=1" in lines[1] and "key=b'message-two'" in lines[1] and "value=b'This is Kafka-Python'" in lines[1]


def text(file):
    file.seek(0)
    return file.read()


def test_console_producer_and_consumer(page):
    if "console" not in topics("--list").split():
        topics("--create", "--replication-factor", "1", "--partitions", "1", "--topic", "console")
    server = ["--bootstrap-server", "localhost:9092", "--topic", "console"]
    tools.must("console-producer", *server, stdin="Hello, World!\nThis is Kafka\n")
    assert tools.must("console-consumer", *server, "--from-beginning", "--max-messages", "2").splitlines() == [
        "Hello, World!",
        "This is Kafka",
    ]
