"""confluent-kafka (librdkafka) as a driver (see lines.py), and the suite's own administrator."""

import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from lines import Flood, Member, decode, encode, serve

BOOTSTRAP = None
PRODUCERS = {}
TRANSACTIONAL = {}
MEMBERS = {}
FLOODS = {}
LONERS = {}
ADMIN = {}
TIMESTAMP_TYPES = {confluent_kafka.TIMESTAMP_CREATE_TIME: 0, confluent_kafka.TIMESTAMP_LOG_APPEND_TIME: 1}


def hello(bootstrap):
    global BOOTSTRAP
    BOOTSTRAP = bootstrap
    return "%s/%s" % (confluent_kafka.version(), confluent_kafka.libversion()[0])


def producer(acks, codec, idempotent):
    key = (acks, codec, idempotent)
    if key not in PRODUCERS:
        config = {
            "bootstrap.servers": BOOTSTRAP,
            "compression.type": codec,
            # What is given together goes out together, however slow this machine is: flush() waits for no linger.
            "linger.ms": 500,
            "message.timeout.ms": 15000,
        }
        if acks is not None:
            config["acks"] = acks
        if idempotent is not None:
            config["enable.idempotence"] = idempotent
        PRODUCERS[key] = Producer(config)
    return PRODUCERS[key]


def produce(topic, records, acks=None, codec="none", idempotent=None):
    sender, done = producer(acks, codec, idempotent), [None] * len(records)
    # Records of a topic that librdkafka does not know yet go out as it hands them to partitions, one by one.
    sender.list_topics(topic, 20)
    for index, record in enumerate(records):

        def delivered(error, message, index=index):
            done[index] = error or [message.partition(), message.offset() if acks != 0 else None]

        more = {}
        if record.get("partition") is not None:
            more["partition"] = record["partition"]
        if record.get("timestamp") is not None:
            more["timestamp"] = record["timestamp"]
        if record.get("headers"):
            more["headers"] = [(name, decode(value)) for name, value in record["headers"]]
        sender.produce(topic, decode(record.get("value")), decode(record.get("key")), on_delivery=delivered, **more)
    sender.flush(20)
    for outcome in done:
        if not isinstance(outcome, list):
            raise KafkaException(outcome) if outcome else TimeoutError("no delivery report")
    return done


def transaction(id, topic, records, offsets, commit):
    """One transaction, with offsets of groups: [group, topic, partition, offset]."""
    if id not in TRANSACTIONAL:
        TRANSACTIONAL[id] = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": id, "linger.ms": 0})
        TRANSACTIONAL[id].init_transactions(30)
    sender = TRANSACTIONAL[id]
    sender.begin_transaction()
    for record in records:
        sender.produce(topic, decode(record.get("value")), decode(record.get("key")), partition=record["partition"])
    for group, name, partition, offset in offsets:
        consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group})
        sender.send_offsets_to_transaction(
            [TopicPartition(name, partition, offset)], consumer.consumer_group_metadata(), 30
        )
        consumer.close()
    sender.flush(20)
    sender.commit_transaction(30) if commit else sender.abort_transaction(30)


def flood(name, topic, partitions, pause):
    """Idempotent, acks=all, and patient enough for a broker that comes back."""
    sender = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": 60000,
            "reconnect.backoff.max.ms": 500,
            "socket.timeout.ms": 10000,
        }
    )

    def send(value, partition, done):
        sender.produce(
            topic, value, partition=partition, on_delivery=lambda error, message: done(error, message.offset())
        )
        sender.poll(0)

    FLOODS[name] = Flood(send, lambda: sender.flush(60), name, partitions, pause)


def shown(message):
    kind, timestamp = message.timestamp()
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": encode(message.key()),
        "value": encode(message.value()),
        "headers": [[name, encode(value)] for name, value in message.headers() or []],
        "timestamp": timestamp,
        "timestamp_type": TIMESTAMP_TYPES.get(kind, -1),
    }


def poll(consumer, timeout=0.1):
    records = []
    for message in consumer.consume(500, timeout):
        if message.error():
            raise KafkaException(message.error())
        records.append(shown(message))
    return records


def consume(topic, partitions, start, count, timeout_ms):
    consumer = Consumer(
        {"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False, "check.crcs": True}
    )
    try:
        place = {"earliest": confluent_kafka.OFFSET_BEGINNING, "latest": confluent_kafka.OFFSET_END}.get(start, start)
        consumer.assign([TopicPartition(topic, partition, place) for partition in partitions])
        seen, deadline = [], time.time() + timeout_ms / 1000
        while len(seen) < count and time.time() < deadline:
            seen.extend(poll(consumer))
        return seen
    finally:
        consumer.close()


def offsets(topic, partition, at):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused"})
    try:
        if at in ("earliest", "latest"):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            return low if at == "earliest" else high
        found = consumer.offsets_for_times([TopicPartition(topic, partition, at)], timeout=10)[0]
        if found.error:
            raise KafkaException(found.error)
        return None if found.offset < 0 else found.offset
    finally:
        consumer.close()


def join(name, group, topics, session_ms=10000, auto_commit=True):
    def opened():
        consumer = Consumer(
            {
                "bootstrap.servers": BOOTSTRAP,
                "group.id": group,
                "client.id": name,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": auto_commit,
                "auto.commit.interval.ms": 500,
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": 500,
                "topic.metadata.refresh.interval.ms": 5000,
            }
        )
        consumer.subscribe(topics)
        return consumer

    MEMBERS[name] = Member(opened, poll, lambda consumer: consumer.close())


def commit(name, offsets, metadata=""):
    def task(consumer):
        for answer in consumer.commit(
            offsets=[TopicPartition(topic, partition, offset, metadata) for topic, partition, offset in offsets],
            asynchronous=False,
        ):
            if answer.error:
                raise KafkaException(answer.error)

    MEMBERS[name].run(task)


def commit_alone(group, topic, partition, offset):
    """A commit by a consumer that is in no group, with generation -1."""
    if group not in LONERS:
        LONERS[group] = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "socket.timeout.ms": 5000})
    answer = LONERS[group].commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)[0]
    if answer.error:
        raise KafkaException(answer.error)


def committed(group, topic, partition):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group})
    try:
        found = consumer.committed([TopicPartition(topic, partition)], timeout=10)[0]
        if found.error:
            raise KafkaException(found.error)
        return [None, None] if found.offset < 0 else [found.offset, found.metadata]
    finally:
        consumer.close()


def admin():
    """One for all calls: its futures end with it."""
    if "admin" not in ADMIN:
        ADMIN["admin"] = AdminClient({"bootstrap.servers": BOOTSTRAP})
    return ADMIN["admin"]


def results(futures):
    """Waits for every future; the first failure is raised."""
    return {key: future.result(20) for key, future in futures.items()}


def create_topic(topic, partitions, replicas, config=None, validate_only=False):
    new = NewTopic(topic, num_partitions=partitions, replication_factor=replicas, config=config or {})
    results(admin().create_topics([new], validate_only=validate_only))


def create_partitions(topic, total):
    results(admin().create_partitions([NewPartitions(topic, total)]))


def delete_topic(topic):
    results(admin().delete_topics([topic]))


def list_topics():
    found = admin().list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def alter_config(topic, changes):
    entries = [
        ConfigEntry(
            name,
            value if value is None else str(value),
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for name, value in changes.items()
    ]
    results(admin().incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]))


def describe_config(topic):
    found = results(admin().describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    return {name: [entry.value, entry.is_default] for config in found.values() for name, entry in config.items()}


def describe_group(group):
    """The group as the broker sees it; assignments are lists of [topic, partition]."""
    found = results(admin().describe_consumer_groups([group]))[group]
    return {
        "state": found.state.name,
        "members": [
            {
                "client": member.client_id,
                "id": member.member_id,
                "assignment": sorted([place.topic, place.partition] for place in member.assignment.topic_partitions),
            }
            for member in found.members
        ],
    }


serve(
    {
        "hello": hello,
        "produce": produce,
        "consume": consume,
        "offsets": offsets,
        "join": join,
        "commit": commit,
        "committed": committed,
        "drain": lambda name: MEMBERS[name].drain(),
        "leave": lambda name: MEMBERS.pop(name).leave(),
        "transaction": transaction,
        "flood": flood,
        "flood_stop": lambda name: FLOODS.pop(name).stop(),
        "commit_alone": commit_alone,
        "create_topic": create_topic,
        "create_partitions": create_partitions,
        "delete_topic": delete_topic,
        "list_topics": list_topics,
        "alter_config": alter_config,
        "describe_config": describe_config,
        "describe_group": describe_group,
    },
    lambda error: error.args[0].code() if isinstance(error, KafkaException) else None,
)
