"""Runs the rows: round by round, one server after the other, so that both see the same machine."""

import contextlib
import time
import traceback

from . import client
from .servers import Kafka

KAFKA_PORTS = 50


class Runner:
    """Servers that run for the rows that share them, and the results: {row: {server: [values of a round]}}."""

    def __init__(self, kinds, plan, home, port, results):
        self.kinds, self.plan, self.home, self.port, self.results = kinds, plan, home, port, results
        self.running = {}
        self.failures = []

    def run(self, rows):
        # Fresh servers first; then those that share servers, as Kafka's warm-up is long; three brokers last.
        for needs in ("own", "running", "three"):
            chosen = [row for row in rows if row.needs == needs]
            if not chosen:
                continue
            if needs != "own":
                self.begin(3 if needs == "three" else 1)
            for row in chosen:
                self.measure(row)
            self.close()

    def make(self, kind, brokers=1):
        return kind(self.port + (KAFKA_PORTS if kind is Kafka else 0), brokers, self.home)

    def begin(self, brokers):
        for kind in self.kinds:
            server = self.make(kind, brokers)
            self.running[kind] = server
            try:
                server.start()
                if kind is Kafka:
                    self.warm_up(server)
            except Exception as error:
                self.fail(f"{kind.name} with {brokers} brokers", error)
                server.close()
                del self.running[kind]

    def warm_up(self, server):
        """The JVM compiles what is used much: a fresh one needs four times as much processor time."""
        print(f"-- warming {server.name} up", flush=True)
        plan = self.plan
        for size, part, partitions in ((1000, 0.6, 1), (100, 0.2, 1), (1000, 0.2, 100)):
            topic, total = server.create(partitions), int(plan.warm * part)
            client.produce(server.bootstrap, topic, size, total, acks=-1)
            if partitions == 1:
                client.consume(server.bootstrap, topic, size, total)
            server.delete(topic)

    @contextlib.contextmanager
    def own(self, kind):
        server = self.make(kind)
        try:
            server.started = server.start()
            yield server
        finally:
            server.close()

    def measure(self, row):
        print(f"-- {row.group}: {row.title}", flush=True)
        found = self.results[f"{row.group}: {row.title}"] = {}
        for _ in range(row.rounds or self.plan.rounds):
            for kind in self.kinds:
                if kind is Kafka and not row.kafka:
                    continue
                if row.needs == "own":
                    subject = lambda kind=kind: self.own(kind)  # noqa: E731
                elif kind in self.running:
                    subject = self.running[kind]
                else:
                    continue
                began = time.monotonic()
                try:
                    values = row.measure(subject, self.plan, **row.options)
                except Exception as error:
                    self.fail(f"{kind.name}: {row.group}: {row.title}", error)
                    continue
                found.setdefault(kind.name, []).append(values)
                shown = {key: round(value, 3) for key, value in values.items() if not isinstance(value, list)}
                print(f"   {kind.name:7} {shown}  ({time.monotonic() - began:.0f} s)", flush=True)

    def fail(self, what, error):
        self.failures.append(what)
        traceback.print_exception(error, limit=4)
        print(f"   {what}: {error}", flush=True)

    def close(self):
        for server in self.running.values():
            server.close()
        self.running.clear()
