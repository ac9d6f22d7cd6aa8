import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's own Java client as a driver: one JSON request a line in, one JSON answer a line out (see ../lines.py). */
public class Driver {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();
    static final Map<String, Member> MEMBERS = new HashMap<>();
    static String bootstrap;

    interface Operation {
        Object run(JsonNode request) throws Exception;
    }

    static final Map<String, Operation> OPERATIONS = Map.ofEntries(
        Map.entry("hello", Driver::hello),
        Map.entry("produce", Driver::produce),
        Map.entry("consume", Driver::consume),
        Map.entry("offsets", Driver::offsets),
        Map.entry("join", Driver::join),
        Map.entry("drain", request -> member(request).drain()),
        Map.entry("flood", Flood::start),
        Map.entry("flood_stop", Flood::stop),
        Map.entry("commit", Driver::commit),
        Map.entry("committed", Driver::committed),
        Map.entry("leave", request -> MEMBERS.remove(request.get("name").asText()).leave()));

    static Operation operation(String name) {
        Operation found = OPERATIONS.get(name);
        return found != null ? found : Administration.operations().get(name);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                JsonNode request = JSON.readTree(line);
                answer.put("ok", operation(request.get("op").asText()).run(request));
            } catch (Exception error) {
                Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
                cause.printStackTrace();
                answer.put("error", cause.getClass().getSimpleName());
                answer.put("code", cause instanceof ApiException ? Errors.forException(cause).code() : null);
                answer.put("message", String.valueOf(cause.getMessage()));
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    static Object hello(JsonNode request) {
        bootstrap = request.get("bootstrap").asText();
        return org.apache.kafka.common.utils.AppInfoParser.getVersion();
    }

    static Properties properties(Object... pairs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            properties.put(pairs[i], pairs[i + 1].toString());
        }
        return properties;
    }

    static byte[] bytes(JsonNode field) {
        return field == null || field.isNull() ? null : Base64.getDecoder().decode(field.asText());
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }

    static boolean given(JsonNode request, String name) {
        return request.hasNonNull(name);
    }

    static KafkaProducer<byte[], byte[]> producer(JsonNode request) {
        Properties config = properties("delivery.timeout.ms", 20000, "request.timeout.ms", 10000, "max.block.ms", 20000,
            "linger.ms", 5);
        Map<String, String> settings =
            Map.of("acks", "acks", "codec", "compression.type", "idempotent", "enable.idempotence");
        settings.forEach((name, setting) -> {
            if (given(request, name)) {
                config.put(setting, request.get(name).asText());
            }
        });
        return PRODUCERS.computeIfAbsent(config.toString(),
            key -> new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer()));
    }

    static Object produce(JsonNode request) throws Exception {
        KafkaProducer<byte[], byte[]> producer = producer(request);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode one : request.get("records")) {
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(request.get("topic").asText(),
                given(one, "partition") ? one.get("partition").asInt() : null,
                given(one, "timestamp") ? one.get("timestamp").asLong() : null,
                bytes(one.get("key")), bytes(one.get("value")));
            if (given(one, "headers")) {
                for (JsonNode header : one.get("headers")) {
                    record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                }
            }
            sent.add(producer.send(record));
        }
        producer.flush();
        List<Object> done = new ArrayList<>();
        for (Future<RecordMetadata> one : sent) {
            RecordMetadata metadata = one.get(20, TimeUnit.SECONDS);
            List<Object> place = new ArrayList<>();
            place.add(metadata.partition());
            place.add(metadata.hasOffset() ? metadata.offset() : null);
            done.add(place);
        }
        return done;
    }

    static Map<String, Object> shown(ConsumerRecord<byte[], byte[]> record) {
        List<Object> headers = new ArrayList<>();
        record.headers().forEach(header -> {
            List<String> pair = new ArrayList<>();
            pair.add(header.key());
            pair.add(text(header.value()));
            headers.add(pair);
        });
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("topic", record.topic());
        shown.put("partition", record.partition());
        shown.put("offset", record.offset());
        shown.put("key", text(record.key()));
        shown.put("value", text(record.value()));
        shown.put("headers", headers);
        shown.put("timestamp", record.timestamp());
        shown.put("timestamp_type", record.timestampType().id);
        return shown;
    }

    static List<Object> poll(Consumer<byte[], byte[]> consumer) {
        List<Object> records = new ArrayList<>();
        consumer.poll(Duration.ofMillis(100)).forEach(record -> records.add(shown(record)));
        return records;
    }

    static KafkaConsumer<byte[], byte[]> open(Object... pairs) {
        return new KafkaConsumer<>(properties(pairs), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Object consume(JsonNode request) {
        try (KafkaConsumer<byte[], byte[]> consumer = open("enable.auto.commit", false)) {
            List<TopicPartition> wanted = new ArrayList<>();
            request.get("partitions").forEach(
                partition -> wanted.add(new TopicPartition(request.get("topic").asText(), partition.asInt())));
            consumer.assign(wanted);
            JsonNode start = request.get("start");
            switch (start.asText()) {
                case "earliest" -> consumer.seekToBeginning(wanted);
                case "latest" -> consumer.seekToEnd(wanted);
                default -> wanted.forEach(partition -> consumer.seek(partition, start.asLong()));
            }
            List<Object> seen = new ArrayList<>();
            long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
            while (seen.size() < request.get("count").asInt() && System.nanoTime() < deadline) {
                seen.addAll(poll(consumer));
            }
            return seen;
        }
    }

    static Object offsets(JsonNode request) {
        try (KafkaConsumer<byte[], byte[]> consumer = open()) {
            TopicPartition place = new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
            JsonNode at = request.get("at");
            return switch (at.asText()) {
                case "earliest" -> consumer.beginningOffsets(List.of(place)).get(place);
                case "latest" -> consumer.endOffsets(List.of(place)).get(place);
                default -> {
                    var found = consumer.offsetsForTimes(Map.of(place, at.asLong())).get(place);
                    yield found == null ? null : found.offset();
                }
            };
        }
    }

    static Object join(JsonNode request) {
        String name = request.get("name").asText();
        List<String> topics = new ArrayList<>();
        request.get("topics").forEach(topic -> topics.add(topic.asText()));
        Properties config = properties("group.id", request.get("group").asText(), "client.id", name,
            "auto.offset.reset", "earliest", "auto.commit.interval.ms", 500, "heartbeat.interval.ms", 500,
            "metadata.max.age.ms", 5000,
            "enable.auto.commit", !given(request, "auto_commit") || request.get("auto_commit").asBoolean(),
            "session.timeout.ms", given(request, "session_ms") ? request.get("session_ms").asInt() : 10000);
        MEMBERS.put(name, new Member(config, topics));
        return null;
    }

    static Member member(JsonNode request) {
        return MEMBERS.get(request.get("name").asText());
    }

    static Object commit(JsonNode request) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        String metadata = given(request, "metadata") ? request.get("metadata").asText() : "";
        request.get("offsets").forEach(one -> offsets.put(
            new TopicPartition(one.get(0).asText(), one.get(1).asInt()),
            new OffsetAndMetadata(one.get(2).asLong(), metadata)));
        return member(request).run(consumer -> {
            consumer.commitSync(offsets);
            return null;
        });
    }

    static Object committed(JsonNode request) {
        TopicPartition place = new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
        try (KafkaConsumer<byte[], byte[]> consumer = open("group.id", request.get("group").asText())) {
            OffsetAndMetadata found = consumer.committed(java.util.Set.of(place)).get(place);
            List<Object> answer = new ArrayList<>();
            answer.add(found == null ? null : found.offset());
            answer.add(found == null ? null : found.metadata());
            return answer;
        }
    }

    /** A group member that polls on a thread of its own; everything that touches its consumer runs there. */
    static class Member {
        private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
        private final List<Object> records = new ArrayList<>();
        private final Properties config;
        private volatile boolean going = true;
        private volatile String error;
        private final Thread thread;

        Member(Properties config, List<String> topics) {
            this.config = config;
            thread = new Thread(() -> work(topics));
            thread.setDaemon(true);
            thread.start();
        }

        private KafkaConsumer<byte[], byte[]> consumer;

        private void work(List<String> topics) {
            try (KafkaConsumer<byte[], byte[]> opened =
                     new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer = opened;
                consumer.subscribe(topics);
                while (going) {
                    List<Object> polled = poll(consumer);
                    synchronized (records) {
                        records.addAll(polled);
                    }
                    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
                        task.run();
                    }
                }
            } catch (Exception failure) {
                failure.printStackTrace();
                error = failure.toString();
            }
        }

        Object run(Function<Consumer<byte[], byte[]>, Object> task) throws Exception {
            CompletableFuture<Object> done = new CompletableFuture<>();
            tasks.add(() -> {
                try {
                    done.complete(task.apply(consumer));
                } catch (Exception failure) {
                    done.completeExceptionally(failure);
                }
            });
            return done.get(40, TimeUnit.SECONDS);
        }

        Object drain() {
            Map<String, Object> answer = new LinkedHashMap<>();
            synchronized (records) {
                answer.put("records", new ArrayList<>(records));
                records.clear();
            }
            answer.put("error", error);
            return answer;
        }

        Object leave() throws Exception {
            going = false;
            thread.join(40_000);
            return drain();
        }
    }
}
