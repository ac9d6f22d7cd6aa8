"""Administration by a Kafka client: `admin.py BOOTSTRAP COMMAND ARGUMENTS…`, an answer as JSON."""
import json
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

bootstrap, command, *arguments = sys.argv[1:]


def admin():
    return KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=15000)


def create(name, partitions):
    admin().create_topics([NewTopic(name, num_partitions=int(partitions), replication_factor=1)])


def grow(name, partitions):
    admin().create_partitions({name: NewPartitions(total_count=int(partitions))})


def delete(name):
    admin().delete_topics([name])


def topics():
    return sorted(admin().list_topics())


def partitions(name):
    """Leaders by partition."""
    found = admin().describe_topics([name])
    return {one["partition_index"]: one["leader_id"] for one in found[0]["partitions"]}


def configure(name, key, value):
    admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={key: value})])


def produce(name, *values):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_block_ms=30000)
    for value in values:
        producer.send(name, value.encode()).get(30)
    producer.close()


def consume(name, count, group):
    """So many values, read by a member of a group."""
    consumer = KafkaConsumer(name, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    values, end = [], time.monotonic() + 60
    while len(values) < int(count) and time.monotonic() < end:
        for records in consumer.poll(timeout_ms=500).values():
            values += [record.value.decode() for record in records]
    consumer.commit()
    consumer.close()
    return values


print(json.dumps(globals()[command](*arguments)))
