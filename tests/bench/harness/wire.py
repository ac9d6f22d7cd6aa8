"""As much of the protocol as it takes to see that a broker serves."""

import random
import socket
import struct
import time

METADATA, API_VERSIONS = 3, 18


def ask(sock, key, version, body=b""):
    """One request and its answer's body."""
    send(sock, key, version, body)
    (length,) = struct.unpack(">i", receive(sock, 4))
    return receive(sock, length)[4:]


def send(sock, key, version, body=b""):
    """One request; its answer is left where it is."""
    frame = struct.pack(">hhi", key, version, 1) + struct.pack(">h", -1) + body
    sock.sendall(struct.pack(">i", len(frame)) + frame)


def receive(sock, count):
    found = b""
    while len(found) < count:
        more = sock.recv(count - len(found))
        if not more:
            raise ConnectionError("the broker closed the connection")
        found += more
    return found


def connect(bootstrap, timeout=10):
    host, port = bootstrap.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def free_port(count=8):
    """The first of `count` consecutive ports that nothing has, below those that outgoing connections are given."""
    while True:
        first = random.randrange(12000, 28000)
        if all(_is_free(first + i) for i in range(count)):
            return first


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def listens(bootstrap):
    try:
        connect(bootstrap, timeout=1).close()
        return True
    except OSError:
        return False


def serves(bootstrap):
    try:
        with connect(bootstrap) as sock:
            return bool(ask(sock, API_VERSIONS, 0))
    except OSError:
        return False


def until_served(bootstrap, timeout, process=None):
    """Waits for the first answer."""
    end = time.monotonic() + timeout
    while not serves(bootstrap):
        if process and process.poll() is not None:
            raise RuntimeError(f"the broker on {bootstrap} exited with {process.returncode}")
        if time.monotonic() > end:
            raise TimeoutError(f"no answer from {bootstrap} after {timeout} s")
        time.sleep(0.001)


def leaders(bootstrap, topic, timeout=60):
    """Waits until every partition of a topic has a leader; used where a start counts until all of them serve."""
    body = struct.pack(">ih", 1, len(topic)) + topic.encode()
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with connect(bootstrap) as sock:
            if all_led(ask(sock, METADATA, 0, body)):
                return
        time.sleep(0.002)
    raise TimeoutError(f"{topic} has partitions without a leader after {timeout} s")


def all_led(answer):
    """Whether a Metadata answer of version 0 about one topic names a leader for each of its partitions."""
    fields = Fields(answer)
    for _ in range(fields.take("i")):
        fields.take("i")
        fields.skip(fields.take("h"))
        fields.take("i")
    if fields.take("i") != 1 or fields.take("h") != 0:
        return False
    fields.skip(fields.take("h"))
    count = led = 0
    for _ in range(fields.take("i")):
        fields.take("hi")
        led += fields.take("i") >= 0
        count += 1
        for _ in ("replicas", "in-sync replicas"):
            fields.skip(4 * fields.take("i"))
    return count > 0 and led == count


class Fields:
    """Reads an answer from its beginning on."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.content, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0]

    def skip(self, count):
        self.at += count
