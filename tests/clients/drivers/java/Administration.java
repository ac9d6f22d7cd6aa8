import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The administrator's operations. This client sends what it is given, so that the broker has to refuse it. */
final class Administration {
    private Administration() {}

    private static Admin admin;

    static Map<String, Driver.Operation> operations() {
        return Map.of(
            "create_topic", Administration::createTopic,
            "create_partitions", Administration::createPartitions,
            "delete_topic", request -> wait(admin().deleteTopics(List.of(topic(request))).all()),
            "alter_config", Administration::alterConfig,
            "describe_config", Administration::describeConfig,
            "describe_settings", Administration::describeSettings,
            "describe_topic", Administration::describeTopic,
            "list_topics", request -> new ArrayList<>(wait(admin().listTopics().names())),
            "delete_records", Administration::deleteRecords);
    }

    private static Admin admin() {
        if (admin == null) {
            admin = Admin.create(Driver.properties());
        }
        return admin;
    }

    private static <T> T wait(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    private static String topic(JsonNode request) {
        return request.get("topic").asText();
    }

    private static Object createTopic(JsonNode request) throws Exception {
        Map<String, String> config = new HashMap<>();
        if (request.hasNonNull("config")) {
            request.get("config").properties().forEach(one -> config.put(one.getKey(), one.getValue().asText()));
        }
        short replicas = (short) request.get("replicas").asInt();
        NewTopic topic = new NewTopic(topic(request), request.get("partitions").asInt(), replicas);
        boolean only = request.path("validate_only").asBoolean(false);
        wait(admin().createTopics(List.of(topic.configs(config)), new CreateTopicsOptions().validateOnly(only)).all());
        return null;
    }

    private static Object createPartitions(JsonNode request) throws Exception {
        NewPartitions total = NewPartitions.increaseTo(request.get("total").asInt());
        return wait(admin().createPartitions(Map.of(topic(request), total)).all());
    }

    /** changes: lists of [operation, name, value]; operation as in AlterConfigOp.OpType. */
    private static Object alterConfig(JsonNode request) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (JsonNode one : request.get("changes")) {
            String value = one.get(2).isNull() ? null : one.get(2).asText();
            changes.add(new AlterConfigOp(new ConfigEntry(one.get(1).asText(), value),
                AlterConfigOp.OpType.valueOf(one.get(0).asText())));
        }
        wait(admin().incrementalAlterConfigs(
            Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic(request)), changes)).all());
        return null;
    }

    /** All that the answer says of each setting. */
    private static Object describeSettings(JsonNode request) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic(request));
        DescribeConfigsOptions everything =
            new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        Map<String, Object> found = new HashMap<>();
        for (ConfigEntry entry : wait(admin().describeConfigs(List.of(resource), everything).all())
                .get(resource).entries()) {
            Map<String, Object> shown = new HashMap<>();
            shown.put("value", entry.value());
            shown.put("source", entry.source().name());
            shown.put("type", entry.type().name());
            shown.put("documentation", entry.documentation());
            shown.put("read_only", entry.isReadOnly());
            shown.put("sensitive", entry.isSensitive());
            List<List<String>> synonyms = new ArrayList<>();
            for (ConfigEntry.ConfigSynonym one : entry.synonyms()) {
                synonyms.add(List.of(one.name(), one.value(), one.source().name()));
            }
            shown.put("synonyms", synonyms);
            found.put(entry.name(), shown);
        }
        return found;
    }

    /** Each setting as [value, source]. */
    private static Object describeConfig(JsonNode request) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic(request));
        Map<String, Object> shown = new TreeMap<>();
        wait(admin().describeConfigs(List.of(resource)).all()).get(resource).entries().forEach(
            entry -> shown.put(entry.name(), List.of(String.valueOf(entry.value()), entry.source().name())));
        return shown;
    }

    private static Object describeTopic(JsonNode request) throws Exception {
        var found = wait(admin().describeTopics(List.of(topic(request))).allTopicNames()).get(topic(request));
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("id", found.topicId().toString());
        shown.put("internal", found.isInternal());
        List<Object> partitions = new ArrayList<>();
        found.partitions().forEach(one -> partitions.add(List.of(one.partition(),
            one.leader() == null ? -1 : one.leader().id(), one.replicas().size(), one.isr().size())));
        shown.put("partitions", partitions);
        return shown;
    }

    private static Object deleteRecords(JsonNode request) throws Exception {
        TopicPartition place = new TopicPartition(topic(request), request.get("partition").asInt());
        return wait(admin().deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(request.get("before").asLong())))
            .lowWatermarks().get(place)).lowWatermark();
    }
}
