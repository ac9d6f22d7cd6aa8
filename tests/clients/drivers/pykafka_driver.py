"""PyKafka 2.8 as a driver (see lines.py): its defaults, or the broker_version given to `hello`."""

import datetime
import time

import pykafka
from lines import Member, decode, encode, serve
from pykafka.common import CompressionType, OffsetType

CODECS = {
    "none": CompressionType.NONE,
    "gzip": CompressionType.GZIP,
    "snappy": CompressionType.SNAPPY,
    "lz4": CompressionType.LZ4,
}
EPOCH = datetime.datetime(1970, 1, 1)
OPTIONS = {}
CLIENTS = []
MEMBERS = {}


def hello(bootstrap, broker_version=None):
    OPTIONS["hosts"] = bootstrap
    if broker_version:
        OPTIONS["broker_version"] = broker_version
    return pykafka.__version__


def topic_of(name):
    """Topics hold their client weakly, so it is kept."""
    if not CLIENTS:
        CLIENTS.append(pykafka.KafkaClient(**OPTIONS))
    return CLIENTS[0].topics[name.encode()]


def produce(topic, records, acks=None, codec="none", idempotent=None):
    """Returns no offsets: PyKafka knows them only for messages of its delivery queue."""
    chosen = []

    def partitioner(partitions, _key):
        wanted = chosen[-1]
        return next(p for p in sorted(partitions, key=lambda p: p.id) if wanted is None or p.id == wanted)

    more = {} if acks is None else {"required_acks": {"all": -1}.get(acks, acks)}
    sender = topic_of(topic).get_producer(
        compression=CODECS[codec], partitioner=partitioner, delivery_reports=True, linger_ms=20, **more
    )
    with sender:
        for record in records:
            chosen.append(record.get("partition"))
            stamp = record.get("timestamp")
            at = None if stamp is None else EPOCH + datetime.timedelta(milliseconds=stamp)
            sender.produce(decode(record.get("value")), partition_key=decode(record.get("key")), timestamp=at)
        done = []
        for _ in records:
            message, error = sender.get_delivery_report(timeout=20)
            if error is not None:
                raise error
            done.append([message.partition_id, None if acks == 0 else message.offset])
    return done


def shown(message, topic):
    stamp = message.timestamp
    if isinstance(stamp, datetime.datetime):
        stamp = round((stamp - EPOCH).total_seconds() * 1000)
    return {
        "topic": topic,
        "partition": message.partition_id,
        "offset": message.offset,
        "key": encode(message.partition_key),
        "value": encode(message.value),
        "headers": [],
        "timestamp": stamp,
        "timestamp_type": -1,
    }


def consume(topic, partitions, start, count, timeout_ms):
    source = topic_of(topic)
    wanted = [source.partitions[partition] for partition in partitions]
    reset = OffsetType.LATEST if start == "latest" else OffsetType.EARLIEST
    consumer = source.get_simple_consumer(
        partitions=wanted, auto_offset_reset=reset, consumer_timeout_ms=200, fetch_wait_max_ms=100
    )
    try:
        if isinstance(start, int):
            # It takes the last offset consumed, and goes on with the next one.
            consumer.reset_offsets([(partition, start - 1) for partition in wanted])
        seen, deadline = [], time.time() + timeout_ms / 1000
        while len(seen) < count and time.time() < deadline:
            message = consumer.consume()
            if message is not None:
                seen.append(shown(message, topic))
        return seen
    finally:
        consumer.stop()


def offsets(topic, partition, at):
    source = topic_of(topic)
    if at == "earliest":
        found = source.earliest_available_offsets()
    elif at == "latest":
        found = source.latest_available_offsets()
    else:
        found = source.fetch_offset_limits(EPOCH + datetime.timedelta(milliseconds=at))
    answer = found[partition].offset
    return answer[0] if answer else None


def join(name, group, topics, session_ms=10000, auto_commit=True):
    def opened():
        return topic_of(topics[0]).get_balanced_consumer(
            group.encode(),
            managed=True,
            auto_commit_enable=auto_commit,
            auto_commit_interval_ms=500,
            consumer_timeout_ms=200,
            auto_offset_reset=OffsetType.EARLIEST,
            heartbeat_interval_ms=500,
        )

    def poll(consumer):
        message, found = consumer.consume(), []
        while message is not None:
            found.append(shown(message, topics[0]))
            message = consumer.consume() if len(found) < 500 else None
        return found

    MEMBERS[name] = Member(opened, poll, lambda consumer: consumer.stop())


def simple_group(group, topic, count, timeout_ms):
    """A simple consumer that goes on from the group's committed offset and commits what it has read."""
    consumer = topic_of(topic).get_simple_consumer(
        consumer_group=group.encode(), consumer_timeout_ms=200, auto_offset_reset=OffsetType.EARLIEST
    )
    try:
        seen, deadline = [], time.time() + timeout_ms / 1000
        while len(seen) < count and time.time() < deadline:
            message = consumer.consume()
            if message is not None:
                seen.append(shown(message, topic))
        consumer.commit_offsets()
        return seen
    finally:
        consumer.stop()


serve(
    {
        "hello": hello,
        "produce": produce,
        "consume": consume,
        "offsets": offsets,
        "join": join,
        "simple_group": simple_group,
        "drain": lambda name: MEMBERS[name].drain(),
        "leave": lambda name: MEMBERS.pop(name).leave(),
    },
    lambda error: getattr(error, "ERROR_CODE", None),
)
