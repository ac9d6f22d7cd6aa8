"""Prints the values of all records of a topic up to its present end: `reader.py BOOTSTRAP TOPIC [SECONDS]`."""
import sys
import time

from kafka import KafkaConsumer, TopicPartition

bootstrap, topic = sys.argv[1:3]
deadline = time.monotonic() + float(sys.argv[3] if len(sys.argv) > 3 else 60)
consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False,
                         request_timeout_ms=20000)
found = None
while not found and time.monotonic() < deadline:
    found = consumer.partitions_for_topic(topic)
partitions = [TopicPartition(topic, number) for number in sorted(found or ())]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
ends = consumer.end_offsets(partitions)
while any(consumer.position(one) < ends[one] for one in partitions):
    if time.monotonic() > deadline:
        sys.exit(f"the end was not reached: {[(one, consumer.position(one), ends[one]) for one in partitions]}")
    for records in consumer.poll(timeout_ms=500).values():
        for record in records:
            print((record.value or b"").decode())
