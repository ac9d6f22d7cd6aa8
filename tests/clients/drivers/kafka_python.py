"""kafka-python, 1.3.5 to 3.x, as a driver (see lines.py)."""

import inspect
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from lines import Flood, Member, decode, encode, serve

BOOTSTRAP = None
PRODUCERS = {}
MEMBERS = {}
FLOODS = {}
# Kafka's error code.
REBALANCE_IN_PROGRESS = 27


def hello(bootstrap):
    global BOOTSTRAP
    BOOTSTRAP = bootstrap
    return kafka.__version__


def options(known, **wanted):
    """Only what this release knows."""
    return {name: value for name, value in wanted.items() if name in known}


def producer(acks, codec, idempotent):
    key = (acks, codec, idempotent)
    if key not in PRODUCERS:
        config = options(
            KafkaProducer.DEFAULT_CONFIG,
            bootstrap_servers=BOOTSTRAP,
            compression_type=None if codec == "none" else codec,
            max_block_ms=20000,
        )
        if acks is not None:
            config["acks"] = acks
        if idempotent is not None:
            config.update(options(KafkaProducer.DEFAULT_CONFIG, enable_idempotence=idempotent))
        PRODUCERS[key] = KafkaProducer(**config)
    return PRODUCERS[key]


def produce(topic, records, acks=None, codec="none", idempotent=None):
    sender = producer(acks, codec, idempotent)
    futures = []
    for record in records:
        more = {}
        if record.get("headers"):
            more["headers"] = [(name, decode(value)) for name, value in record["headers"]]
        futures.append(
            sender.send(
                topic,
                value=decode(record.get("value")),
                key=decode(record.get("key")),
                partition=record.get("partition"),
                timestamp_ms=record.get("timestamp"),
                **more,
            )
        )
    sender.flush(timeout=20)
    done = [future.get(timeout=20) for future in futures]
    return [[meta.partition, meta.offset if acks != 0 else None] for meta in done]


def flood(name, topic, partitions, pause):
    """Idempotent and acks=all, as 3.x does by default, and patient enough for a broker that comes back."""
    sender = KafkaProducer(
        bootstrap_servers=BOOTSTRAP,
        linger_ms=5,
        delivery_timeout_ms=60000,
        request_timeout_ms=10000,
        reconnect_backoff_max_ms=500,
        max_block_ms=60000,
    )

    def send(value, partition, done):
        sending = sender.send(topic, value=value, partition=partition)
        sending.add_callback(lambda meta: done(None, meta.offset))
        sending.add_errback(lambda error: done(error, None))

    FLOODS[name] = Flood(send, lambda: sender.flush(timeout=60), name, partitions, pause)


def shown(message):
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "key": encode(message.key),
        "value": encode(message.value),
        "headers": [[name, encode(value)] for name, value in getattr(message, "headers", None) or []],
        "timestamp": message.timestamp,
        "timestamp_type": message.timestamp_type,
    }


def poll(consumer, timeout_ms=100):
    batches = consumer.poll(timeout_ms=timeout_ms)
    return [shown(message) for batch in batches.values() for message in batch]


def open_consumer(**config):
    return KafkaConsumer(**options(KafkaConsumer.DEFAULT_CONFIG, bootstrap_servers=BOOTSTRAP, **config))


def consume(topic, partitions, start, count, timeout_ms):
    consumer = open_consumer(enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(wanted)
        if start == "earliest":
            consumer.seek_to_beginning(*wanted)
        elif start == "latest":
            consumer.seek_to_end(*wanted)
        else:
            for partition in wanted:
                consumer.seek(partition, start)
        seen, deadline = [], time.time() + timeout_ms / 1000
        while len(seen) < count and time.time() < deadline:
            seen.extend(poll(consumer))
        return seen
    finally:
        consumer.close()


def offsets(topic, partition, at):
    consumer = open_consumer()
    try:
        place = TopicPartition(topic, partition)
        if at == "earliest":
            return consumer.beginning_offsets([place])[place]
        if at == "latest":
            return consumer.end_offsets([place])[place]
        found = consumer.offsets_for_times({place: at})[place]
        return None if found is None else found.offset
    finally:
        consumer.close()


def join(name, group, topics, session_ms=10000, auto_commit=True):
    def opened():
        consumer = open_consumer(
            group_id=group,
            client_id=name,
            auto_offset_reset="earliest",
            enable_auto_commit=auto_commit,
            auto_commit_interval_ms=500,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=500,
            metadata_max_age_ms=5000,
        )
        for topic in topics:
            consumer.partitions_for_topic(topic)
        consumer.subscribe(topics)
        # Metadata of the subscription before it joins: 3.0.12 takes those that come later for a change, joins again,
        # and may hang for ever in doing so.
        consumer.topics()
        return consumer

    MEMBERS[name] = Member(opened, poll, lambda consumer: consumer.close())


def commit(name, offsets, metadata=""):
    def task(consumer):
        fields = [metadata] if len(OffsetAndMetadata._fields) == 2 else [metadata, -1]
        consumer.commit(
            {
                TopicPartition(topic, partition): OffsetAndMetadata(offset, *fields)
                for topic, partition, offset in offsets
            }
        )

    deadline = time.time() + 10
    while True:
        try:
            return MEMBERS[name].run(task)
        except Exception as error:
            # During a rebalance: poll, which a member does all the time, and commit again, as the client asks for.
            if getattr(error, "errno", None) != REBALANCE_IN_PROGRESS or time.time() > deadline:
                raise
            time.sleep(0.1)


def committed(group, topic, partition):
    consumer = open_consumer(group_id=group, enable_auto_commit=False)
    try:
        place = TopicPartition(topic, partition)
        if "metadata" in inspect.signature(consumer.committed).parameters:
            found = consumer.committed(place, metadata=True)
            return [None, None] if found is None else [found.offset, found.metadata]
        return [consumer.committed(place), None]
    finally:
        consumer.close()


def create_topic(topic, partitions, replicas, config=None):
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    try:
        admin.create_topics([NewTopic(topic, partitions, replicas, topic_configs=config or {})])
    finally:
        admin.close()


serve(
    {
        "hello": hello,
        "produce": produce,
        "consume": consume,
        "offsets": offsets,
        "create_topic": create_topic,
        "join": join,
        "commit": commit,
        "committed": committed,
        "flood": flood,
        "flood_stop": lambda name: FLOODS.pop(name).stop(),
        "drain": lambda name: MEMBERS[name].drain(),
        "leave": lambda name: MEMBERS.pop(name).leave(),
    },
    lambda error: getattr(error, "errno", None),
)
