use super::*;

const TOPIC: &str = "\
apiVersion: milena.dev/v1alpha1
kind: KafkaTopic
metadata: {name: sample}
spec:
  cluster: demo
  partitions: 3
  config: {retention.ms: 604800000}
";

const CLUSTER: &str = "\
apiVersion: milena.dev/v1alpha1
kind: KafkaCluster
metadata: {name: demo}
spec:
  brokers: 3
  storage: {size: 10Gi}
  config: {min.insync.replicas: 2}
";

fn error(text: &str) -> String {
    parse(Path::new("topic.yaml"), text).unwrap_err().to_string()
}

#[test]
fn several_documents_in_a_file() {
    let text = format!("# both\n---\n{CLUSTER}---\n{TOPIC}---\n");
    let manifests = parse(Path::new("all.yaml"), &text).unwrap();
    let [Manifest::Cluster(cluster), Manifest::Topic(topic)] = manifests.as_slice() else {
        panic!("{manifests:?}")
    };
    assert_eq!(cluster.spec.brokers, 3);
    assert_eq!(topic.spec.partitions, 3);
    assert_eq!(topic.spec.config["retention.ms"].as_str(), "604800000");
}

#[test]
fn errors_name_file_line_field_and_what_is_allowed() {
    let wrong = error(&TOPIC.replace("partitions: 3", "partitions: 0"));
    assert_eq!(wrong, "topic.yaml:6: spec.partitions: 0 is out of range; allowed: 1 to 10000");
    let wrong = error(&TOPIC.replace("retention.ms: 604800000", "retention.ms: soon"));
    assert!(wrong.starts_with("topic.yaml:7: spec.config.retention.ms: "), "{wrong}");
    let wrong = error(&format!("{CLUSTER}---\n{}", TOPIC.replace("kind: KafkaTopic", "kind: Topic")));
    assert_eq!(wrong, "topic.yaml:10: kind: 'Topic' is not taken here; allowed: KafkaCluster, KafkaTopic");
    let wrong = error(&TOPIC.replace("  partitions: 3", "  partition: 3"));
    assert!(wrong.starts_with("topic.yaml:6: spec.partition: there is no such field; allowed: "), "{wrong}");
    let wrong = error(&TOPIC.replace("  partitions: 3", "  partitions: 3\n  replicas: 65"));
    assert!(
        wrong.starts_with("topic.yaml:7: spec.replicas: 65 is out of range; allowed: 1 to 64"),
        "{wrong}"
    );
    let wrong = error(&TOPIC.replace("name: sample", "name: Sample"));
    assert!(wrong.starts_with("topic.yaml:3: metadata.name: 'Sample'"), "{wrong}");
}

#[test]
fn what_is_no_yaml_is_said_with_its_line() {
    let wrong = error(&format!("{TOPIC}---\nkind: [unclosed\n"));
    assert!(wrong.starts_with("topic.yaml:") && !wrong.starts_with("topic.yaml:1:"), "{wrong}");
    let wrong = error(&TOPIC.replace("partitions: 3", "partitions: many"));
    assert_eq!(wrong, r#"topic.yaml:6: spec.partitions: invalid type: string "many", expected i32"#);
    let wrong = error(&CLUSTER.replace("storage: {size: 10Gi}", "storage: {size: 10Gi, volumes: [many]}"));
    assert!(wrong.starts_with("topic.yaml:6: spec.storage.volumes: invalid type: sequence"), "{wrong}");
    let wrong = error(&TOPIC.replace("  cluster: demo\n", ""));
    assert_eq!(wrong, "topic.yaml:4: spec: missing field `cluster`");
}
