"""Records as the tests write and compare them."""

import base64
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Record:
    """What a test produces: bytes or None, headers as pairs, the timestamp in ms since 1970."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple = ()
    timestamp: int | None = None
    partition: int | None = 0

    def wire(self):
        """As the drivers take it."""
        return {
            "value": encode(self.value),
            "key": encode(self.key),
            "timestamp": self.timestamp,
            "partition": self.partition,
            "headers": [[name, encode(value)] for name, value in self.headers],
        }


@dataclass(frozen=True)
class Seen(Record):
    """What a client read."""

    offset: int = -1
    topic: str = ""
    timestamp_type: int = -1

    @classmethod
    def of(cls, wire):
        return cls(
            value=decode(wire["value"]),
            key=decode(wire["key"]),
            timestamp=wire["timestamp"],
            partition=wire["partition"],
            offset=wire["offset"],
            topic=wire["topic"],
            timestamp_type=wire["timestamp_type"],
            headers=tuple((name, decode(value)) for name, value in wire["headers"]),
        )


def contents(records, *fields):
    """The named fields of each record, for comparing what was written with what was read."""
    return [tuple(getattr(record, field) for field in fields) for record in records]


def in_order(seen):
    """Sorted by partition, keeping each partition's order as it was read."""
    return sorted(seen, key=lambda record: record.partition)


def numbered(count, prefix="r", **fields):
    """`count` records with values r0, r1, …"""
    return [replace(Record(f"{prefix}{i}".encode()), **fields) for i in range(count)]


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)
