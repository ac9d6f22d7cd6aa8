import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What load.py does, by Kafka's own client with its default settings:
 * {@code Load producer BOOTSTRAP TOPIC PARTITIONS NAME PAUSE}, {@code Load consumer BOOTSTRAP TOPIC GROUP}.
 */
public final class Load {
    private Load() {}

    private static volatile boolean stopped;

    /** On Linux nanoTime is the monotonic clock, the same for all processes. */
    private static void tell(int partition, long offset, String what) {
        String line = String.format(java.util.Locale.ROOT, "%.3f %d %d %s%n", System.nanoTime() / 1e9, partition, offset, what);
        synchronized (System.out) {
            System.out.print(line);
            System.out.flush();
        }
    }

    private static void produce(String bootstrap, String topic, int partitions, String name, double pause)
            throws InterruptedException {
        try (var producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", bootstrap), new StringSerializer(), new StringSerializer())) {
            for (int number = 0; !stopped; number++) {
                String what = Integer.toString(number);
                var record = new ProducerRecord<String, String>(topic, number % partitions, null, name + "-" + what);
                producer.send(record, (found, error) -> {
                    if (error == null) {
                        tell(found.partition(), found.offset(), what);
                    } else {
                        System.err.println(what + ": " + error);
                    }
                });
                Thread.sleep((long) (pause * 1000));
            }
        }
    }

    private static void consume(String bootstrap, String topic, String group) {
        Map<String, Object> settings =
            Map.of("bootstrap.servers", bootstrap, "group.id", group, "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!stopped) {
                consumer.poll(Duration.ofMillis(100))
                    .forEach(record -> tell(record.partition(), record.offset(), record.value()));
            }
        }
    }

    public static void main(String[] given) throws Exception {
        Thread listener = new Thread(() -> {
            try {
                System.in.transferTo(java.io.OutputStream.nullOutputStream());
            } catch (java.io.IOException error) {
                System.err.println(error);
            }
            stopped = true;
        });
        listener.setDaemon(true);
        listener.start();
        if (given[0].equals("producer")) {
            produce(given[1], given[2], Integer.parseInt(given[3]), given[4], Double.parseDouble(given[5]));
        } else {
            consume(given[1], given[2], given[3]);
        }
    }
}
