"""When each of many topics takes a record with acks=all again: `takes_writes.py TOPICS PREFIX ADDRESS...`.

It connects to the brokers at those addresses, prints `ready`, and waits for a line. Then it asks each of them to take one
record for each of the topics `PREFIX0000`…, and again for those that it does not, until every topic has taken one; it
prints `TIME COUNT` whenever some have, on the monotonic clock, one for all processes of the machine. It speaks the
protocol itself: a client library would spend the time on 5,000 topics' metadata.
"""
import os
import socket
import struct
import sys
import threading
import time

# Topics of one request and connection.
GROUP = 125
# Topics that a broker is asked for in a second, so that to refuse them does not become its work: with 5,000 of them each
# is asked for as often as clients do (Kafka's `retry.backoff.ms`).
RATE = 50_000
# How long a broker may wait for replicas, in seconds.
PATIENCE = 2
PORT = 9092


def table():
    """CRC-32C."""
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


TABLE = list(table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def batch():
    """One record, of no producer in particular (KIP-98)."""
    value = b"again"
    record = b"\0\0\0\1" + bytes([len(value) * 2]) + value + b"\0"
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + bytes([len(record) * 2]) + record
    rest = struct.pack(">ibI", -1, 2, crc32c(body)) + body
    return struct.pack(">qi", 0, len(rest)) + rest


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def produce(entries):
    """Produce, version 3, of what is to be written to each topic."""
    body = struct.pack(">hhih", 0, 3, 7, -1) + struct.pack(">hhii", -1, -1, PATIENCE * 1000, len(entries))
    body += b"".join(entries)
    return struct.pack(">i", len(body)) + body


def read(stream, count):
    data = stream.recv(count)
    while len(data) < count:
        data += stream.recv(count - len(data)) or sys.exit("a broker has closed the connection")
    return data


def taken(answer):
    """The topics of an answer that have taken their record."""
    (count,), at = struct.unpack_from(">i", answer, 4), 8
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        topic, at = answer[at + 2:at + 2 + length].decode(), at + 2 + length
        _, _, error = struct.unpack_from(">iih", answer, at)
        at += 4 + 4 + 2 + 8 + 8
        if error == 0:
            yield topic


def write(stream, pending, pause):
    """Asks for what is pending, which others may shorten. To ask again for the same and be refused the same costs next
    to nothing: the processors are the brokers'."""
    asked = request = refusal = None
    while entries := list(pending.items()):
        if len(entries) != asked:
            asked, request, refusal = len(entries), produce([entry for _, entry in entries]), None
        stream.sendall(request)
        (length,) = struct.unpack(">i", read(stream, 4))
        answer = read(stream, length)
        if answer != refusal:
            done = [topic for topic in taken(answer) if pending.pop(topic, None)]
            if done:
                os.write(1, b"%.4f %d\n" % (time.monotonic(), len(done)))
            refusal = None if done else answer
        time.sleep(pause)


def main(count, prefix, *addresses):
    topics = [f"{prefix}{number:04d}" for number in range(int(count))]
    records = batch()
    partition = struct.pack(">iii", 1, 0, len(records)) + records
    entries = [(topic, text(topic) + partition) for topic in topics]
    groups = [dict(entries[at:at + GROUP]) for at in range(0, len(entries), GROUP)]
    streams = [(socket.create_connection((address, PORT)), group) for group in groups for address in addresses]
    print("ready", flush=True)
    sys.stdin.readline()
    pause = len(topics) / RATE
    threads = [threading.Thread(target=write, args=(*stream, pause), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main(*sys.argv[1:])
