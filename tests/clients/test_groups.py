"""Consumer groups of the classic protocol: sharing, rebalancing, committing, going on."""

import random

import pytest

from harness import wait
from harness.clients import BY_NAME, Member
from harness.records import Record, contents, numbered


def spread(count, prefix, partitions=4):
    """`count` records for each partition, all with different values."""
    return [
        Record(f"{prefix}-{partition}-{i}".encode(), partition=partition)
        for partition in range(partitions)
        for i in range(count)
    ]


def gather(members, wanted, timeout=40):
    """Drains the members until every wanted value was seen by one of them; returns all that was seen, per member."""
    seen = {name: [] for name in members}

    def complete():
        for name, member in members.items():
            seen[name].extend(member.drain())
        found = {record.value for records in seen.values() for record in records}
        missing = {record.value for record in wanted} - found
        assert not missing, f"{len(missing)} of {len(wanted)} records not seen, for example {sorted(missing)[:3]}"
        return True

    wait.until(complete, timeout, "every record read by a member")
    return seen


def shares(admin, group, sizes, timeout=40):
    """Waits until the group is stable and its members have so many partitions each; returns the assignments."""

    def settled():
        view = admin.group(group)
        found = sorted(len(member["assignment"]) for member in view["members"])
        assert (view["state"], found) == ("STABLE", sorted(sizes)), view
        places = [tuple(place) for member in view["members"] for place in member["assignment"]]
        assert len(places) == len(set(places)), f"two members have the same partition: {view}"
        return view["members"]

    return wait.until(settled, timeout, f"{group} shared as {sizes}", every=0.2)


@pytest.mark.feature("rebalance")
def test_members_share_join_leave_and_die(client, broker, admin, name):
    topic, group = admin.create(name, partitions=4), f"{name}-g"
    members = {"a": client.member(broker.bootstrap, "a", group, topic)}
    try:
        first = spread(5, "first")
        admin.produce(topic, first)
        gather(members, first)
        shares(admin, group, [4])

        members["b"] = client.member(broker.bootstrap, "b", group, topic)
        shares(admin, group, [2, 2])
        second = spread(5, "second")
        admin.produce(topic, second)
        seen = gather(members, second)
        of_second = {
            who: {record.value for record in records if record.value.startswith(b"second")}
            for who, records in seen.items()
        }
        assert len(of_second["a"]) == len(of_second["b"]) == 10, "each member reads its half once"

        members.pop("b").kill()
        third = spread(5, "third")
        admin.produce(topic, third)
        gather(members, third, timeout=client.session + 30)
        shares(admin, group, [4])

        members["c"] = client.member(broker.bootstrap, "c", group, topic)
        shares(admin, group, [2, 2])
        members.pop("c").leave()
        shares(admin, group, [4], timeout=client.session / 2 + 10)
        members.pop("a").leave()
        wait.until(lambda: admin.group(group)["state"] == "EMPTY", 10, "an empty group")
    finally:
        for member in members.values():
            member.kill()


def read_and_leave(client, bootstrap, group, topic, wanted):
    """A member that reads the records, commits as its client does, and leaves."""
    member = client.member(bootstrap, "m", group, topic)
    try:
        seen = gather({"m": member}, wanted)["m"]
    except BaseException:
        member.kill()
        raise
    member.leave()
    return seen


@pytest.mark.feature("resume")
def test_a_group_goes_on_from_its_commit(client, broker, admin, name):
    topic, group = admin.create(name), f"{name}-g"
    first, second = numbered(10, "first"), numbered(10, "second")
    admin.produce(topic, first)
    assert contents(read_and_leave(client, broker.bootstrap, group, topic, first), "value") == contents(first, "value")
    assert admin.committed(group, topic) == 10
    admin.produce(topic, second)
    assert contents(read_and_leave(client, broker.bootstrap, group, topic, second), "value") == contents(
        second, "value"
    )


@pytest.mark.own_broker
@pytest.mark.feature("resume")
def test_a_group_goes_on_after_the_broker_was_killed(client, own_broker, admin_of, name):
    """Two members stay connected while the broker is killed and comes back: nothing is lost, nothing read anew."""
    admin = admin_of(own_broker)
    topic, group = admin.create(name, partitions=2), f"{name}-g"
    first, second = spread(10, "first", 2), spread(10, "second", 2)
    admin.produce(topic, first, acks="all")
    members = {who: client.member(own_broker.bootstrap, who, group, topic) for who in ("a", "b")}
    try:
        gather(members, first)
        wait.until(lambda: [admin.committed(group, topic, p) for p in (0, 1)] == [10, 10], 15, "the commits")
        own_broker.restart(kill=True)
        if not client.survives_outage:
            for member in members.values():
                member.kill()
            members = {who: client.member(own_broker.bootstrap, who, group, topic) for who in ("c", "d")}
        admin.produce(topic, second, acks="all")
        seen = gather(members, second, timeout=client.session + 40)
        again = [record.value for records in seen.values() for record in records if record.value.startswith(b"first")]
        assert not again, f"read again: {again}"
        assert all(admin.committed(group, topic, p) >= 10 for p in (0, 1))
    finally:
        for member in members.values():
            member.kill()


@pytest.mark.parametrize("label", ["confluent-kafka 2.16.1", "Java client 4.3", "kafka-python 3.0.12"])
def test_many_members_come_and_go_at_once(label, broker, admin, name):
    """Rebalances overlap; every record is read, and no member sees an error."""
    client, chance = BY_NAME[label], random.Random(11)
    topic, group, wanted = admin.create(name, partitions=8), f"{name}-g", []
    driver = client.open(broker.bootstrap)
    members, seen = {}, []
    try:
        for turn in range(5):
            for number in range(turn * 2, turn * 2 + 3):
                who = f"m{number}"
                if who not in members:
                    driver.call("join", name=who, group=group, topics=[topic], session_ms=6000)
                    members[who] = Member(driver, who, alone=False)
            written = spread(3, f"turn{turn}", 8)
            admin.produce(topic, written)
            wanted += written
            for who in chance.sample(sorted(members), k=min(2, len(members) - 1)):
                seen += members.pop(who).leave()
        found = {record.value for record in seen}
        missing = [record for record in wanted if record.value not in found]
        gather(members, missing, timeout=60)
        shares(admin, group, share_out(8, len(members)))
    finally:
        driver.close()


def share_out(partitions, members):
    """How many partitions each member has when they are spread evenly."""
    return [partitions // members + (number < partitions % members) for number in range(members)]


def test_a_group_sees_partitions_that_are_added(broker, admin, name):
    client = BY_NAME["confluent-kafka 2.16.1"]
    topic, group = admin.create(name), f"{name}-g"
    member = client.member(broker.bootstrap, "m", group, topic)
    try:
        admin.produce(topic, spread(2, "first", 1))
        gather({"m": member}, spread(2, "first", 1))
        admin.call("create_partitions", topic=topic, total=3)
        shares(admin, group, [3])
        admin.client.close(broker.bootstrap)  # a producer that knows all partitions
        admin.produce(topic, spread(2, "second", 3))
        gather({"m": member}, spread(2, "second", 3))
    finally:
        member.kill()


@pytest.mark.feature("metadata")
def test_commit_metadata_is_kept(client, broker, admin, name):
    topic, group = admin.create(name), f"{name}-g"
    admin.produce(topic, numbered(5))
    member = client.member(broker.bootstrap, "m", group, topic, auto_commit=False)
    try:
        gather({"m": member}, numbered(5))
        member.commit([[topic, 0, 3]], "härd ünd fäst")
        offset, metadata = BY_NAME["Java client 4.3"].committed(broker.bootstrap, group, topic, 0)
        # confluent-kafka sends a zero byte after metadata that is not ASCII.
        assert (offset, metadata.rstrip("\0")) == (3, "härd ünd fäst")
        assert client.committed(broker.bootstrap, group, topic, 0)[0] == 3
        member.commit([[topic, 0, 4]])
        assert client.committed(broker.bootstrap, group, topic, 0)[0] == 4
    finally:
        member.kill()
