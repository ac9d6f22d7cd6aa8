"""What one client wrote, read by every other: one log a codec, in which batches of all clients and magics lie."""

import pytest

from harness.clients import CLIENTS
from harness.records import Record, contents

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# One worker runs them all, so that the logs are written once.
pytestmark = pytest.mark.xdist_group("cross")


def able(client, codec):
    return codec == "none" or codec in client.can


@pytest.fixture(scope="module")
def logs(broker):
    """{codec: (topic, what was written)}: every client that can has written five records."""
    from conftest import Admin

    admin, written = Admin(broker.bootstrap), {}
    for codec in CODECS:
        topic = admin.create(f"cross-{codec}-{id(written)}")
        everything = []
        for client in CLIENTS:
            if able(client, codec):
                records = [Record(f"{client.name} {i} ".encode() * 20, key=b"k%d" % i) for i in range(5)]
                client.produce(broker.bootstrap, topic, records, codec=codec)
                everything += records
        written[codec] = (topic, everything)
    return written


@pytest.mark.feature("cross")
def test_reads_what_the_others_wrote(client, broker, logs):
    for codec, (topic, written) in logs.items():
        if able(client, codec):
            read = client.consume(broker.bootstrap, topic, count=len(written), timeout=30)
            assert contents(read, "key", "value") == contents(written, "key", "value"), codec
