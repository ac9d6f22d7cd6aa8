"""One client under a steady load, with its library's default settings:
`load.py librdkafka|kafka-python producer BOOTSTRAP TOPIC PARTITIONS NAME PAUSE`,
`load.py librdkafka|kafka-python consumer BOOTSTRAP TOPIC GROUP`.

A producer sends numbered records until its input ends, and prints `TIME PARTITION OFFSET NUMBER` for each that was
acknowledged; a consumer prints `TIME PARTITION OFFSET VALUE`. Times are of the monotonic clock, one for all processes
of the machine. What the library did not hide goes to standard error.
"""
import os
import sys
import threading
import time

kind, role, bootstrap, topic, *arguments = sys.argv[1:]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()


def tell(partition, offset, what):
    # One call a line: several threads write.
    os.write(1, b"%.3f %d %d %s\n" % (time.monotonic(), partition, offset, what))


def moan(what):
    print(what, file=sys.stderr, flush=True)


def numbers(partitions, pause):
    number = 0
    while not stop.is_set():
        yield number, number % int(partitions)
        number += 1
        time.sleep(float(pause))


def produce_librdkafka(partitions, name, pause):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    for number, partition in numbers(partitions, pause):
        def told(error, message, number=number):
            moan(f"{number}: {error}") if error else tell(message.partition(), message.offset(), b"%d" % number)
        producer.produce(topic, f"{name}-{number}".encode(), partition=partition, on_delivery=told)
        producer.poll(0)
    producer.flush(120)


def produce_kafka_python(partitions, name, pause):
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    for number, partition in numbers(partitions, pause):
        future = producer.send(topic, f"{name}-{number}".encode(), partition=partition)
        future.add_callback(lambda found, number=number: tell(found.partition, found.offset, b"%d" % number))
        future.add_errback(lambda error, number=number: moan(f"{number}: {error!r}"))
    producer.flush(120)


def consume_librdkafka(group):
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "log_level": 0})
    consumer.subscribe([topic])
    while not stop.is_set():
        for message in consumer.consume(500, 0.1):
            if message.error():
                moan(f"{message.error()}")
            else:
                tell(message.partition(), message.offset(), message.value())
    consumer.close()


def consume_kafka_python(group):
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    while not stop.is_set():
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                tell(record.partition, record.offset, record.value)
    consumer.close()


CLIENTS = {
    ("librdkafka", "producer"): produce_librdkafka,
    ("librdkafka", "consumer"): consume_librdkafka,
    ("kafka-python", "producer"): produce_kafka_python,
    ("kafka-python", "consumer"): consume_kafka_python,
}
CLIENTS[kind, role](*arguments)
