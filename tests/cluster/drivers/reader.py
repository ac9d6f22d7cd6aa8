"""Prints the values of all records of a topic up to its present end: `reader.py BOOTSTRAP TOPIC [SECONDS]`.

What fails is tried again until the time is over: names of pods that were just made anew lead to their old addresses
for as long as DNS caches them, and a connection there takes 10 seconds to fail.
"""
import sys

from again import Patience
from kafka import KafkaConsumer, TopicPartition

bootstrap, topic = sys.argv[1:3]
again = Patience(float(sys.argv[3]) if len(sys.argv) > 3 else 90)


def read(consumer, partitions):
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = again(lambda: consumer.end_offsets(partitions))
    while any(again(lambda: consumer.position(one)) < ends[one] for one in partitions):
        for records in again(lambda: consumer.poll(timeout_ms=500)).values():
            for record in records:
                print((record.value or b"").decode())
        if again.is_over():
            sys.exit(f"the end was not reached: {[(one, consumer.position(one), ends[one]) for one in partitions]}")


reading = again(lambda: KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest",
                                      enable_auto_commit=False, request_timeout_ms=20000))
found = again.until(lambda: reading.partitions_for_topic(topic))
read(reading, [TopicPartition(topic, number) for number in sorted(found)])
