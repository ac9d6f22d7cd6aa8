"""Makes topics of one partition with the defaults of the cluster: `many_topics.py BOOTSTRAP PREFIX COUNT`."""
import sys

from confluent_kafka.admin import AdminClient, NewTopic

# Topics of one request.
TOGETHER = 250

bootstrap, prefix, count = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": bootstrap})
names = [f"{prefix}{number:04d}" for number in range(int(count))]
for at in range(0, len(names), TOGETHER):
    topics = [NewTopic(name, 1) for name in names[at:at + TOGETHER]]
    for made in admin.create_topics(topics, operation_timeout=60, request_timeout=90).values():
        made.result()
