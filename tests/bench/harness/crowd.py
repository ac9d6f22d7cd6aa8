"""Many connections to a broker, held by processes of their own: a process has only so many file descriptors.

As a program (`python -m harness.crowd HOST:PORT COUNT [TOPIC]`) it opens COUNT connections, of which each asks once:
for the versions that are served, or, with TOPIC, for all that partition 0 of it has, and reads none of that. It says
`ready`, and holds them until its input ends.
"""

import contextlib
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

from . import wire

FETCH, VERSION = 1, 4
# Each process holds so many.
SHARE = 2500
# What the kernel keeps for a client that does not read is to be small: it is not the broker's.
RECEIVE_BUFFER = 4096


@contextlib.contextmanager
def crowd(bootstrap, count, topic=None):
    """So many connections, as long as the block lasts."""
    processes = []
    try:
        for begin in range(0, count, SHARE):
            command = [sys.executable, "-m", "harness.crowd", bootstrap, str(min(SHARE, count - begin))]
            command += [topic] if topic else []
            processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1]
                )
            )
        for process in processes:
            if process.stdout.readline().strip() != b"ready":
                raise RuntimeError(f"{process.args}: the connections could not all be opened")
        yield
    finally:
        for process in processes:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


def everything(topic):
    """The body of a fetch of partition 0 from its beginning, as much as may be."""
    most = 2**31 - 1
    body = struct.pack(">iiiib", -1, 100, 1, most, 0) + struct.pack(">ih", 1, len(topic)) + topic.encode()
    return body + struct.pack(">iiqi", 1, 0, 0, most)


def hold(bootstrap, count, topic):
    """Opens them, says so, and waits."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, port = bootstrap.rsplit(":", 1)
    held = []
    for _ in range(count):
        sock = socket.socket()
        if topic:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.settimeout(60)
        sock.connect((host, int(port)))
        if topic:
            wire.send(sock, FETCH, VERSION, everything(topic))
        else:
            wire.ask(sock, wire.API_VERSIONS, 0)
        held.append(sock)
    print("ready", flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    hold(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
