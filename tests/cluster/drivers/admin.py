"""Administration by a Kafka client: `admin.py BOOTSTRAP COMMAND ARGUMENTS…`, an answer as JSON."""
import json
import sys

from again import Patience
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

bootstrap, command, *arguments = sys.argv[1:]
again = Patience(60)


def admin():
    return again(lambda: KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=15000))


def create(name, partitions):
    admin().create_topics([NewTopic(name, num_partitions=int(partitions), replication_factor=1)])


def grow(name, partitions):
    admin().create_partitions({name: NewPartitions(total_count=int(partitions))})


def delete(name):
    admin().delete_topics([name])


def topics():
    client = admin()
    return sorted(again(client.list_topics))


def partitions(name):
    """Leaders by partition."""
    client = admin()
    found = again(lambda: client.describe_topics([name]))
    return {one["partition_index"]: one["leader_id"] for one in found[0]["partitions"]}


def configure(name, key, value):
    admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={key: value})])


def produce(name, *values):
    producer = again(lambda: KafkaProducer(bootstrap_servers=bootstrap, acks="all"))
    for value in values:
        producer.send(name, value.encode()).get(60)
    producer.close()


def consume(name, count, group):
    """So many values, read by a member of a group."""
    consumer = again(lambda: KafkaConsumer(name, bootstrap_servers=bootstrap, group_id=group,
                                           auto_offset_reset="earliest"))
    values = []
    while len(values) < int(count) and not again.is_over():
        for records in again(lambda: consumer.poll(timeout_ms=500)).values():
            values += [record.value.decode() for record in records]
    again(consumer.commit)
    consumer.close()
    return values


print(json.dumps(globals()[command](*arguments)))
