use milena_crds::{KafkaPartitionsSpec, KafkaTopicSpec};

use super::*;

const ID: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "66666666-2222-3333-4444-555555555555";
const STATE: &str = "replicas=0 leader=0 leaderEpoch=1 partitionEpoch=1 isr=0.0000000a-0 elr=";

fn topic(name: &str, id: &str) -> KafkaTopic {
    let spec = KafkaTopicSpec {
        cluster: "demo".into(),
        topic_name: None,
        partitions: 2,
        replicas: 1,
        config: BTreeMap::from([("retention.ms".to_owned(), "5".into())]),
    };
    let mut topic = KafkaTopic::new(name, spec);
    topic.metadata.uid = Some(id.to_owned());
    topic
}

fn object(partitions: &[(&str, &str)], deleted: &[&str]) -> KafkaPartitions {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let deleted = deleted.iter().map(|id| (id.to_string(), "2026-01-01T00:00:00Z".to_owned())).collect();
    let spec = KafkaPartitionsSpec {
        cluster: "demo".into(),
        partitions: map(partitions),
        deleted,
        ..Default::default()
    };
    KafkaPartitions::new("demo-0", spec)
}

fn key(id: &str, partition: i32) -> String {
    format!("{id}/{partition}")
}

#[test]
fn a_topic_is_seen_once_it_has_an_object_and_partitions() {
    let mut assembler = Assembler::default();
    assembler.apply_topic(&topic("sample", ID));
    assert!(assembler.image().topic("sample").is_none());
    assembler.apply_partitions(&object(&[(&key(ID, 0), STATE), (&key(ID, 1), STATE)], &[]));
    let image = assembler.image();
    let sample = image.topic("sample").unwrap();
    assert_eq!(sample.partition_count(), 2);
    assert_eq!(sample.partition(1).unwrap().leader, Some(0));
    assert_eq!(sample.config["retention.ms"].as_str(), "5");
    assert!(image.topic_by_id(Uuid::parse_str(ID).unwrap()).is_some());
}

#[test]
fn a_missing_object_hides_the_topic_and_keeps_its_data() {
    let mut assembler = Assembler::default();
    assembler.apply_topic(&topic("sample", ID));
    assembler.apply_partitions(&object(&[(&key(ID, 0), STATE)], &[]));
    assembler.remove_topic(&topic("sample", ID));
    let image = assembler.image();
    let id = Uuid::parse_str(ID).unwrap();
    assert!(image.topic("sample").is_none());
    assert!(image.known.contains(&id) && !image.deleted.contains(&id));
    assembler.apply_partitions(&object(&[], &[ID]));
    let image = assembler.image();
    assert!(!image.known.contains(&id) && image.deleted.contains(&id));
}

#[test]
fn a_topic_made_anew_under_an_old_name_takes_its_place() {
    let mut assembler = Assembler::default();
    assembler.apply_topic(&topic("sample", ID));
    assembler.apply_partitions(&object(&[(&key(ID, 0), STATE)], &[]));
    // The new object may be seen before the old one's end.
    assembler.apply_topic(&topic("sample", OTHER));
    assembler.apply_partitions(&object(&[(&key(OTHER, 0), STATE)], &[ID]));
    assembler.remove_topic(&topic("sample", ID));
    let image = assembler.image();
    assert_eq!(image.topic("sample").unwrap().id.to_string(), OTHER);
    assert_eq!(image.topics.len(), 1);
    assert_eq!(image.names.len(), 1);
}

#[test]
fn what_is_no_state_is_left_out() {
    let mut assembler = Assembler::default();
    assembler.apply_topic(&topic("sample", ID));
    assembler
        .apply_partitions(&object(&[(&key(ID, 1), STATE), (&key(ID, 0), "nonsense"), ("x", STATE)], &[]));
    let image = assembler.image();
    let sample = image.topic("sample").unwrap();
    assert_eq!(sample.partition_count(), 2);
    assert!(sample.partition(0).is_none() && sample.partition(1).is_some());
}

#[test]
fn unchanged_topics_are_shared_between_pictures() {
    let mut assembler = Assembler::default();
    for (name, id) in [("sample", ID), ("other", OTHER)] {
        assembler.apply_topic(&topic(name, id));
    }
    assembler.apply_partitions(&object(&[(&key(ID, 0), STATE), (&key(OTHER, 0), STATE)], &[]));
    let before = assembler.image();
    let next = STATE.replace("leaderEpoch=1 partitionEpoch=1", "leaderEpoch=2 partitionEpoch=2");
    assembler.apply_partitions(&object(&[(&key(ID, 0), &next), (&key(OTHER, 0), STATE)], &[]));
    let after = assembler.image();
    assert!(Arc::ptr_eq(before.topic("other").unwrap(), after.topic("other").unwrap()));
    assert_eq!(after.topic("sample").unwrap().partition(0).unwrap().leader_epoch, 2);
}

#[test]
fn what_is_held_has_no_state() {
    let mut assembler = Assembler::default();
    assembler.apply_topic(&topic("sample", ID));
    let mut object = object(&[(&key(ID, 0), STATE), (&key(ID, 1), STATE)], &[]);
    assembler.apply_partitions(&object);
    let known = |assembler: &Assembler| {
        let image = assembler.image();
        let sample = image.topic("sample").unwrap();
        let held = image.held.len();
        (sample.partition(0).is_some(), sample.partition(1).is_some(), sample.partition_count(), held)
    };
    assert_eq!(known(&assembler), (true, true, 2, 0));
    // A restore is declared, and the object has not taken note of it.
    assembler.set_declared(Some("true".to_owned()));
    assert_eq!(known(&assembler), (false, false, 2, 2));
    object.spec.restored = "true".to_owned();
    object.spec.held = [(key(ID, 1), "declared".to_owned())].into();
    assembler.apply_partitions(&object);
    assert_eq!(known(&assembler), (true, false, 2, 1));
    object.spec.held.clear();
    assembler.apply_partitions(&object);
    assembler.set_declared(None);
    assert_eq!(known(&assembler), (true, true, 2, 0));
    // One that a broker has reported.
    object.spec.held = [(key(ID, 0), "broker 2".to_owned())].into();
    assembler.apply_partitions(&object);
    assert_eq!(known(&assembler), (false, true, 2, 1));
}
