use milena_storage::{Owner, TopicPartition};

use super::*;
use crate::{embedded::manifest::Manifest, mutate};

fn open(dir: &std::path::Path) -> Embedded {
    let embedded = Embedded::open(ObjectFiles::open(dir.to_owned()).unwrap(), Uuid::max()).unwrap();
    embedded.set_brokers(2, Config::new()).unwrap();
    for id in 0..2 {
        let info = BrokerInfo {
            host: None,
            port: 9092,
            rack: None,
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        };
        embedded.register(id, info, Generation { disk: 7, unclean_starts: 0 }, false);
    }
    embedded.decide().unwrap();
    embedded
}

fn new_topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replicas: 1, config: Config::new() }
}

fn image(embedded: &Embedded) -> Arc<ClusterImage> {
    embedded.image().borrow().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_has_leaders_at_once_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(dir.path());
    let id = embedded.create_topic(new_topic("Orders.v1", 4)).await.unwrap();
    let before = image(&embedded);
    let topic = before.topic("Orders.v1").unwrap();
    let leaders: Vec<i32> = (0..4).map(|index| topic.partition(index).unwrap().leader.unwrap()).collect();
    assert_eq!(leaders.iter().filter(|leader| **leader == 0).count(), 2, "spread evenly: {leaders:?}");
    let again = open(dir.path());
    let after = image(&again);
    let topic_after = after.topic("Orders.v1").unwrap();
    assert_eq!(topic_after.id, id);
    let epoch = |topic: &crate::cluster::Topic| topic.partition(0).unwrap().leader_epoch;
    assert!(epoch(topic_after) > epoch(topic), "a restarted broker leads in a new leader epoch");
    assert_eq!(before.cluster_id, after.cluster_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once_and_free_after_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(dir.path());
    let id = embedded.create_topic(new_topic("sample", 1)).await.unwrap();
    let twice = embedded.create_topic(new_topic("sample", 1)).await.unwrap_err();
    assert_eq!(twice.code, ResponseError::TopicAlreadyExists);
    embedded.delete_topic(id).await.unwrap();
    embedded.delete_topic(id).await.unwrap();
    assert!(image(&embedded).topic("sample").is_none());
    assert!(image(&embedded).deleted.contains(&id), "the deletion is recorded, so brokers drop the data");
    let anew = embedded.create_topic(new_topic("sample", 1)).await.unwrap();
    assert_ne!(anew, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_grow_and_settings_change() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(dir.path());
    embedded.create_topic(new_topic("sample", 1)).await.unwrap();
    embedded.grow_topic("sample", 3).await.unwrap();
    assert_eq!(image(&embedded).topic("sample").unwrap().partition_count(), 3);
    let shrunk = embedded.grow_topic("sample", 2).await.unwrap_err();
    assert_eq!(shrunk.code, ResponseError::InvalidPartitions);
    let set = ConfigChanges::from([("retention.ms".to_owned(), Some("5".to_owned()))]);
    embedded.alter_topic("sample", set).await.unwrap();
    assert_eq!(image(&embedded).topic("sample").unwrap().config["retention.ms"].as_str(), "5");
    let reset = ConfigChanges::from([("retention.ms".to_owned(), None)]);
    embedded.alter_topic("sample", reset).await.unwrap();
    assert!(image(&embedded).topic("sample").unwrap().config.is_empty());
}

#[test]
fn applying_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.yaml");
    let text = "apiVersion: milena.dev/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 2, \
                storage: {size: 1Gi}}\n---\napiVersion: milena.dev/v1alpha1\nkind: KafkaTopic\nmetadata: {name: \
                sample}\nspec: {cluster: demo, partitions: 2}\n";
    std::fs::write(&file, text).unwrap();
    let manifests: Vec<Manifest> = manifest::read(&file).unwrap();
    let embedded =
        Embedded::open(ObjectFiles::open(dir.path().join("cluster")).unwrap(), Uuid::max()).unwrap();
    assert_eq!(
        embedded.apply(&manifests).unwrap(),
        ["kafkacluster/demo created", "kafkatopic/sample created"]
    );
    assert!(embedded.apply(&manifests).unwrap().is_empty());
    std::fs::write(&file, text.replace("partitions: 2", "partitions: 1")).unwrap();
    let error = embedded.apply(&manifest::read(&file).unwrap()).unwrap_err();
    assert!(error.contains("cannot shrink from 2 to 1"), "{error}");
    std::fs::write(&file, text.replace("partitions: 2", "partitions: 3")).unwrap();
    assert_eq!(embedded.apply(&manifest::read(&file).unwrap()).unwrap(), ["kafkatopic/sample configured"]);
}

#[test]
fn a_directory_that_somebody_else_wrote_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), Owner { cluster_id: None, node_id: 7 }).unwrap();
    let ids = [1, 2].map(Uuid::from_u128);
    for (name, id, partitions) in [("sample", ids[0], 2), ("__consumer_offsets", ids[1], 1)] {
        for index in 0..partitions {
            let tp = TopicPartition::new(name, index);
            let mut log = dir.create_log(&tp, id, Arc::default(), 0).unwrap();
            log.assign_epoch(4 + index).unwrap();
        }
    }
    let me = Member { broker: 7, generation: Generation { disk: 7, unclean_starts: 0 } };
    let start = |expected: bool| {
        let files = ObjectFiles::open(folder.path().join("objects")).unwrap();
        let embedded = Embedded::open(files, Uuid::max()).unwrap();
        embedded.set_first_broker(7);
        let adoption = embedded.look_for_kafka(&dir).unwrap();
        assert_eq!(adoption.is_some(), expected, "once");
        let adoption = adoption.unwrap_or_default();
        let new = embedded.adopt(&adoption, &dir).unwrap();
        embedded.set_brokers(1, Config::new()).unwrap();
        let info = BrokerInfo {
            host: None,
            port: 9092,
            rack: None,
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        };
        let epoch = embedded.register(7, info, me.generation, true);
        embedded.decide_adopted(&adoption, &new, me, epoch).unwrap();
        image(&embedded)
    };
    for expected in [true, false] {
        let shown = start(expected);
        let sample = shown.topic("sample").unwrap();
        assert_eq!((sample.id, sample.partition_count()), (ids[0], 2));
        let states: Vec<_> = sample.partitions.iter().flatten().collect();
        assert!(states.iter().all(|state| state.leader == Some(7)), "{states:?}");
        let epochs: Vec<i32> = states.iter().map(|state| state.leader_epoch).collect();
        assert_eq!(epochs, [4, 5], "in the same life, leader epochs stay");
        assert_eq!(shown.topic("__consumer_offsets").unwrap().config["cleanup.policy"].as_str(), "compact");
    }
}

fn yaml_files(dir: &std::path::Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found)
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()))
        }
    }
    found.sort();
}

/// Objects that are nearly right: they are used, or the file is refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_nearly_right_are_used_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(dir.path());
    embedded.create_topic(new_topic("Orders.v1", 3)).await.unwrap();
    drop(embedded);
    let mut files = Vec::new();
    yaml_files(dir.path(), &mut files);
    assert!(files.len() > 3);
    mutate::cases(150, 150, |random| {
        let damaged = random.below(files.len());
        for (at, (path, content)) in files.iter().enumerate() {
            let content = if at == damaged { mutate::mutate(random, content) } else { content.clone() };
            std::fs::write(path, content).unwrap();
        }
        match Embedded::open(ObjectFiles::open(dir.path().to_owned()).unwrap(), Uuid::max()) {
            Ok(embedded) => {
                let _ = embedded.set_brokers(2, Config::new());
                let info = BrokerInfo {
                    host: None,
                    port: 9092,
                    rack: None,
                    pod_ip: None,
                    alive: true,
                    offline: Arc::default(),
                };
                embedded.register(0, info, Generation { disk: 7, unclean_starts: 0 }, false);
                let _ = embedded.decide();
                let _ = image(&embedded);
            }
            Err(error) => assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}"),
        }
    });
}
