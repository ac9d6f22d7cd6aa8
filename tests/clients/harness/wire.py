"""Just enough of the wire protocol to send what no client library would."""

import socket
import struct
import time

from . import wait
from .driver import RETRIABLE

PRODUCE, API_VERSIONS, INIT_PRODUCER_ID, ALTER_REPLICA_LOG_DIRS = 0, 18, 22, 34


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit: for small messages."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def varint(number):
    """Zigzag, as in records."""
    number, out = (number << 1) ^ (number >> 63), b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def batch(values, producer_id=-1, epoch=-1, sequence=-1):
    """A record batch of magic 2 with these values, of now: a producer that was idle for a day is forgotten."""
    records, timestamp = b"", int(time.time() * 1000)
    for delta, value in enumerate(values):
        record = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(record)) + record
    body = (
        struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp, timestamp, producer_id, epoch, sequence, len(values))
        + records
    )
    counted = struct.pack(">ibI", -1, 2, crc32c(body)) + body
    return struct.pack(">qi", 0, len(counted)) + counted


class Connection:
    """One connection; requests have header version 1, so only inflexible versions can be asked."""

    def __init__(self, bootstrap, timeout=10):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, api, version, body, correlation=7):
        head = struct.pack(">hhi", api, version, correlation) + string("tests")
        self.socket.sendall(struct.pack(">i", len(head + body)) + head + body)
        (size,) = struct.unpack(">i", self.read(4))
        answer = self.read(size)
        assert struct.unpack_from(">i", answer)[0] == correlation
        return answer[4:]

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed by the broker")
            data += more
        return data

    def is_closed(self):
        """Waits for the broker to close the connection; what it sends before is dropped."""
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def init_producer_id(self):
        """(producer id, epoch)"""

        def attempt():
            answer = self.ask(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 1000))
            _, error, producer_id, epoch = struct.unpack(">ihqh", answer)
            return None if error in RETRIABLE else (error, producer_id, epoch)

        error, producer_id, epoch = wait.until(attempt, 20, "a producer id")
        assert error == 0, error
        return producer_id, epoch

    def produce(self, topic, partition, data, acks=-1):
        """(error code, base offset) of Produce 3, sent again while the broker says that it is not ready."""

        def attempt():
            error, offset = self.produce_once(topic, partition, data, acks)
            return None if error in RETRIABLE else (error, offset)

        return wait.until(attempt, 20, "an answer to Produce")

    def alter_replica_log_dirs(self, path, topic, partition):
        """The error code of AlterReplicaLogDirs 1."""
        ask = struct.pack(">i", 1) + string(path) + struct.pack(">i", 1) + string(topic)
        answer = self.ask(ALTER_REPLICA_LOG_DIRS, 1, ask + struct.pack(">ii", 1, partition))
        return struct.unpack(">h", answer[-2:])[0]

    def produce_once(self, topic, partition, data, acks=-1):
        """(error code, base offset) of Produce 3."""
        answer = self.ask(
            PRODUCE,
            3,
            string(None)
            + struct.pack(">hii", acks, 10_000, 1)
            + string(topic)
            + struct.pack(">iii", 1, partition, len(data))
            + data,
        )
        return struct.unpack_from(">hq", answer, 4 + 2 + len(topic) + 4 + 4)
