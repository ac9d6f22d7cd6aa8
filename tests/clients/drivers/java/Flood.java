import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Produces numbered records, one partition after the other, until stopped, and keeps what was acknowledged. */
final class Flood {
    private static final Map<String, Flood> FLOODS = new HashMap<>();

    private final List<Object> acked = new ArrayList<>();
    private final List<Object> failed = new ArrayList<>();
    private final KafkaProducer<byte[], byte[]> producer;
    private final Thread thread;
    private volatile boolean going = true;
    private int sent;

    private Flood(String name, String topic, int partitions, long pause) {
        producer = new KafkaProducer<>(
            Driver.properties("linger.ms", 5, "delivery.timeout.ms", 60000, "request.timeout.ms", 10000,
                "max.block.ms", 60000, "reconnect.backoff.max.ms", 500),
            new ByteArraySerializer(), new ByteArraySerializer());
        thread = new Thread(() -> work(name, topic, partitions, pause));
        thread.setDaemon(true);
        thread.start();
    }

    static Object start(JsonNode request) {
        String name = request.get("name").asText();
        FLOODS.put(name, new Flood(name, request.get("topic").asText(), request.get("partitions").asInt(),
            (long) (request.get("pause").asDouble() * 1000)));
        return null;
    }

    static Object stop(JsonNode request) throws Exception {
        return FLOODS.remove(request.get("name").asText()).finish();
    }

    private void work(String name, String topic, int partitions, long pause) {
        while (going) {
            int partition = sent % partitions;
            String value = name + "-" + sent++;
            producer.send(new ProducerRecord<>(topic, partition, null, value.getBytes()), (metadata, error) -> {
                synchronized (acked) {
                    if (error == null) {
                        acked.add(List.of(value, partition, metadata.offset()));
                    } else {
                        failed.add(List.of(value, error.toString()));
                    }
                }
            });
            try {
                Thread.sleep(pause);
            } catch (InterruptedException stopped) {
                return;
            }
        }
    }

    private Object finish() throws Exception {
        going = false;
        thread.join();
        producer.close();
        return Map.of("acked", acked, "failed", failed, "sent", sent);
    }
}
