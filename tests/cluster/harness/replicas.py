"""Partitions as the control plane has them, and their replicas as they lie on the disks."""
import hashlib
import re
import struct

from harness.wait import until

# KIP-98: base offset, length, leader epoch, magic, CRC, attributes, last offset delta.
HEADER = struct.Struct(">qiibIhi")
# Base offset and length come before what the length counts.
BEFORE = 12


def states(space, cluster):
    """By `topicId/partition`: leader (None for none), replicas, and the brokers of the ISR."""
    found = {}
    for chunk in space.list("kafkapartitions", "-l", f"milena.dev/cluster={cluster}"):
        for key, text in chunk["spec"]["partitions"].items():
            fields = dict(field.partition("=")[::2] for field in text.split())
            isr = {int(member.split(".")[0]) for member in fields["isr"].split(",") if member}
            leader = int(fields["leader"]) if re.fullmatch(r"\d+", fields["leader"]) else None
            found[key] = (leader, {int(one) for one in fields["replicas"].split(",")}, isr)
    return found


def of_topic(space, topic):
    """By partition of a KafkaTopic: leader (None for none), replicas in order, and the brokers of the ISR."""
    uid, found = space.get("kafkatopic", topic)["metadata"]["uid"], {}
    for chunk in space.list("kafkapartitions"):
        for key, text in chunk["spec"]["partitions"].items():
            if key.startswith(uid):
                fields = dict(field.partition("=")[::2] for field in text.split())
                leader = int(fields["leader"]) if fields["leader"].isdigit() else None
                replicas = [int(one) for one in fields["replicas"].split(",")]
                isr = {int(member.split(".")[0]) for member in fields["isr"].split(",") if member}
                found[int(key.rpartition("/")[2])] = (leader, replicas, isr)
    return found


def lacking(space, cluster):
    """Partitions without a leader or with a replica out of the ISR."""
    return {key: state for key, state in states(space, cluster).items() if state[0] is None or state[1] != state[2]}


def await_whole(space, cluster, timeout=120):
    """Every partition has a leader and all its replicas in sync."""
    until("every replica is in sync", lambda: states(space, cluster) and not lacking(space, cluster), timeout, every=0.3)


def batches(directory):
    """The record batches of a partition's log, in order: (base offset, next offset, hash of every byte)."""
    for path in sorted(directory.glob("*.log")):
        data, at = path.read_bytes(), 0
        while at + HEADER.size <= len(data):
            base, length, _, magic, _, _, delta = HEADER.unpack_from(data, at)
            end = at + BEFORE + length
            if magic != 2 or length <= 0 or end > len(data):
                break
            yield base, base + delta + 1, hashlib.blake2b(data[at:end], digest_size=8).hexdigest()
            at = end


def compare(directories, settled=False):
    """The replicas of a partition hold the same bytes as far as all of them go; settled: to the end.

    The last batch of a log that is written to may be half there.
    """
    logs = {one.parents[1].name: list(batches(one)) for one in directories}
    ends = {name: log[-1][1] for name, log in logs.items()}
    assert not settled or len(set(ends.values())) == 1, f"replicas end at {ends}"
    common = min(len(log) for log in logs.values()) - (0 if settled else 1)
    first, *others = logs.items()
    for name, log in others:
        for mine, other in zip(first[1][:common], log[:common]):
            assert mine == other, f"replicas differ: {first[0]} has {mine}, {name} has {other} ({ends})"
