"""Fixtures: the broker that the tests share, brokers of their own, names, the matrix."""

import itertools
import os

import pytest

from harness import clients, matrix, wait
from harness.broker import Broker, External
from harness.driver import RETRIABLE, ClientError

EXTERNAL = os.environ.get("MILENA_TEST_BOOTSTRAP")
COUNTER = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--matrix", metavar="FILE", help="write the client matrix to FILE")
    parser.addoption("--client", metavar="TEXT", help="only clients whose name contains TEXT")


def pytest_configure(config):
    config.pluginmanager.register(matrix.Recorder(config.getoption("--matrix")), "matrix")


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("feature")
    if marker and "client" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--client") or ""
        able = [client for client in clients.CLIENTS if marker.args[0] in client.can and wanted in client.name]
        metafunc.parametrize("client", able, ids=lambda client: client.name.replace(" ", "-"))


def pytest_collection_modifyitems(items):
    for item in items:
        marker, params = item.get_closest_marker("feature"), getattr(item, "callspec", None)
        if marker and params and "client" in params.params:
            item.user_properties.append(("cell", (params.params["client"].name, marker.args[0])))
        if EXTERNAL and item.get_closest_marker("own_broker"):
            item.add_marker(pytest.mark.skip(reason="needs the broker binary, not a server that is running already"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the end of the log of each broker that it used."""
    report = (yield).get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            output = value.output() if isinstance(value, Broker) else ""
            if output:
                report.sections.append((f"broker {value.bootstrap}", output[-6000:]))


@pytest.fixture(scope="session")
def broker():
    """One broker for all tests that leave it running."""
    shared = External(EXTERNAL) if EXTERNAL else Broker()
    if not EXTERNAL:
        shared.start()
    yield shared
    clients.close_all()
    shared.close()


@pytest.fixture
def start_broker():
    """A function that starts brokers which end with the test."""
    started = []

    def start(**options):
        one = Broker(**options)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        for client in clients.CLIENTS:
            client.close(one.bootstrap)
        one.close()


@pytest.fixture
def own_broker(start_broker):
    """A broker that the test may kill."""
    return start_broker()


@pytest.fixture
def name(request):
    """A name that no other test uses, for topics and groups."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"t{next(COUNTER)}-{worker}-{os.getpid()}"


class Admin:
    """The administrator of one server: confluent-kafka's driver, whose operations are its methods."""

    def __init__(self, bootstrap):
        self.client = clients.BY_NAME["confluent-kafka 2.16.1"]
        # librdkafka may read past the end of a commit's metadata.
        self.reader = clients.BY_NAME["kafka-python 3.0.12"]
        self.bootstrap = bootstrap

    def call(self, op, **arguments):
        return self.client.driver(self.bootstrap).call(op, **arguments)

    def create(self, topic, partitions=1, **config):
        self.call(
            "create_topic",
            topic=topic,
            partitions=partitions,
            replicas=1,
            config={name.replace("_", "."): str(value) for name, value in config.items()},
        )
        return topic

    def produce(self, topic, records, **options):
        return self.client.produce(self.bootstrap, topic, records, **options)

    def consume(self, topic, **options):
        return self.client.consume(self.bootstrap, topic, **options)

    def group(self, group):
        return self.call("describe_group", group=group)

    def committed(self, group, topic, partition=0):
        """The committed offset, or None; asked again while the coordinator is not ready."""

        def attempt():
            try:
                return self.reader.committed(self.bootstrap, group, topic, partition)
            except ClientError as error:
                if error.code in RETRIABLE:
                    return None
                raise

        return wait.until(attempt, 20, "the committed offset")[0]


@pytest.fixture
def admin(broker):
    return Admin(broker.bootstrap)


@pytest.fixture
def admin_of():
    """The administrator of a broker of the test's own."""
    return lambda server: Admin(server.bootstrap)
