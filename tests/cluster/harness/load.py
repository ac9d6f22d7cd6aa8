"""Real clients under load: what they were told, how long they were told nothing, and whether all of it is true."""
import collections
import threading
import time

from harness.wait import until

KINDS = ("librdkafka", "kafka-python")
# Seconds between two records of one producer.
PAUSE = 0.005


class Client:
    """A running driver, and each line that it has printed."""

    def __init__(self, start, kind, role, *arguments):
        self.name = f"{role} {kind}"
        self.trouble = []
        self.times = collections.defaultdict(list)
        self.process = start(kind, role, *arguments)
        self.threads = [threading.Thread(target=task, daemon=True) for task in (self._read, self._moan)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            at, partition, offset, what = line.split()
            self.note(int(partition), int(offset), what)
            self.times[int(partition)].append(float(at))

    def _moan(self):
        for line in self.process.stderr:
            self.trouble.append(line.strip())

    def gap(self, begun, ended):
        """The longest time between two records of any one partition, as far as it lies in that time, in seconds."""
        longest = 0.0
        for times in self.times.values():
            times = sorted(times)
            pairs = zip(times, [*times[1:], time.monotonic()])
            longest = max([longest, *(after - before for before, after in pairs if after > begun and before < ended)])
        return longest

    def end(self, timeout):
        self.process.stdin.close()
        try:
            self.process.wait(timeout)
        finally:
            self.process.kill()
        for thread in self.threads:
            thread.join(10)


class Producer(Client):
    """Acknowledged records: by (partition, offset) their value."""

    def __init__(self, start, kind, bootstrap, topic, partitions):
        self.kind, self.acknowledged = kind, {}
        super().__init__(start, kind, "producer", bootstrap, topic, partitions, kind, PAUSE)

    def note(self, partition, offset, what):
        self.acknowledged[partition, offset] = f"{self.kind}-{what}"


class Consumer(Client):
    """What a member of a group was shown, by (partition, offset); and offsets that showed two values."""

    def __init__(self, start, kind, bootstrap, topic):
        self.seen, self.changed = {}, []
        super().__init__(start, kind, "consumer", bootstrap, topic, f"group-of-{kind}")

    def note(self, partition, offset, what):
        before = self.seen.setdefault((partition, offset), what)
        if before != what:
            self.changed.append((partition, offset, before, what))


class Load:
    """A producer and a group of consumers of each kind on one topic. `start` runs a driver where the brokers are reached."""

    def __init__(self, start, bootstrap, topic, partitions, kinds=KINDS):
        self.partitions = partitions
        self.producers = [Producer(start, kind, bootstrap, topic, partitions) for kind in kinds]
        self.consumers = [Consumer(start, kind, bootstrap, topic) for kind in kinds]

    @property
    def clients(self):
        return [*self.producers, *self.consumers]

    def flows(self, records=20, timeout=60):
        """Waits until each client has got on by so many records in every partition."""
        marks = {client: {one: len(client.times[one]) + records for one in range(self.partitions)} for client in self.clients}

        def all_on():
            return all(len(client.times[one]) >= mark for client, all in marks.items() for one, mark in all.items())

        until(f"every client gets on in every partition; {self.trouble()}", all_on, timeout)

    def gaps(self, begun, ended):
        return {client.name: round(client.gap(begun, ended), 2) for client in self.clients}

    def trouble(self):
        return {client.name: client.trouble[-3:] for client in self.clients if client.trouble}

    def acknowledged(self):
        """Everything, by (partition, offset)."""
        all = [dict(producer.acknowledged) for producer in self.producers]
        places = [place for one in all for place in one]
        assert len(places) == len(set(places)), "one offset was told to two producers"
        return {place: value for one in all for place, value in one.items()}

    def check(self, timeout=60):
        """Every consumer is shown what was acknowledged until now, at its offset, once, and in order."""
        acknowledged = self.acknowledged()
        for consumer in self.consumers:
            until(f"{consumer.name} has read everything",
                  lambda consumer=consumer: not acknowledged.keys() - consumer.seen.keys(), timeout, every=0.3)
            seen = dict(consumer.seen)
            assert not consumer.changed, f"{consumer.name} was shown two records at one offset: {consumer.changed[:3]}"
            check_records(acknowledged, seen)
        assert not self.trouble(), f"the clients' own retries should have hidden everything: {self.trouble()}"

    def end(self):
        """Ends the producers, then the consumers once they have seen all. Failures of ending are told last."""
        for producer in self.producers:
            producer.end(150)
        self.check(120)
        for consumer in self.consumers:
            consumer.end(60)

    def kill(self):
        for client in self.clients:
            client.process.kill()


def check_records(acknowledged, seen):
    """`seen` has every acknowledged record at its offset, none twice, and each producer's in order."""
    lost = {place: value for place, value in acknowledged.items() if seen.get(place) != value}
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records are not there: {sorted(lost.items())[:5]}"
    twice = [value for value, count in collections.Counter(seen.values()).items() if count > 1]
    assert not twice, f"{len(twice)} records of idempotent producers are there twice: {twice[:5]}"
    last = collections.defaultdict(lambda: -1)
    for (partition, offset), value in sorted(seen.items()):
        kind, _, number = value.rpartition("-")
        assert int(number) > last[partition, kind], f"{value} at {partition}/{offset} is out of order"
        last[partition, kind] = int(number)
