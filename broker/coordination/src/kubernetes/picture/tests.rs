use k8s_openapi::{
    api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp,
};
use milena_crds::{KafkaClusterSpec, KafkaPartitions, KafkaPartitionsSpec, KafkaTopicSpec};

use super::*;

const ID: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "66666666-2222-3333-4444-555555555555";
const STATE: &str = "replicas=0 leader=0 leaderEpoch=1 partitionEpoch=1 isr=0.0000000a-0 elr=";

/// A picture of broker 0 of cluster `demo`, and its clock.
struct Scene {
    picture: Picture,
    now: Instant,
}

impl Scene {
    fn new() -> Scene {
        let place = Place {
            cluster: "demo".into(),
            namespace: "kafka".into(),
            pod: "demo-0".into(),
            broker: 0,
            pod_ip: None,
            rack: None,
        };
        Scene { picture: Picture::new(place, Arc::default(), Arc::default()), now: Instant::ZERO }
    }

    fn take(&mut self, change: Change) {
        self.picture.take(change, self.now);
    }

    fn renew(&mut self, broker: i32) {
        let second = i64::try_from(self.now.as_secs()).unwrap();
        self.take(Change::Lease(Of::Applied(Box::new(lease(broker, Some("holder"), second)))));
    }

    /// A second goes by in which these brokers renew.
    fn second(&mut self, renewing: &[i32]) {
        self.now += Duration::from_secs(1);
        for broker in renewing {
            self.renew(*broker);
        }
        self.picture.judge(self.now);
    }

    fn alive(&mut self) -> Vec<i32> {
        self.picture.judge(self.now);
        let image = self.picture.image();
        image.brokers.iter().filter(|(_, broker)| broker.alive).map(|(id, _)| *id).collect()
    }

    fn shown(&mut self) -> Vec<i32> {
        self.picture.judge(self.now);
        self.picture.image().brokers.keys().copied().collect()
    }

    fn wants(&mut self, brokers: i32) {
        let storage = serde_json::from_value(serde_json::json!({"size": "1Gi"})).unwrap();
        let spec = KafkaClusterSpec {
            brokers,
            storage,
            config: Default::default(),
            resources: None,
            pod: Default::default(),
            image: None,
        };
        let mut cluster = KafkaCluster::new("demo", spec);
        cluster.metadata.uid = Some(ID.to_owned());
        self.take(Change::Cluster(Of::Applied(Box::new(cluster))));
    }
}

fn lease(broker: i32, holder: Option<&str>, second: i64) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some(format!("demo-{broker}"));
    let endpoint = format!("demo-broker-{broker}.kafka.svc:9092");
    lease.annotations_mut().insert(names::ENDPOINT.to_owned(), endpoint);
    lease.spec = Some(LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        lease_duration_seconds: Some(3),
        lease_transitions: Some(1),
        renew_time: Some(MicroTime(Timestamp::from_second(second).unwrap())),
        ..LeaseSpec::default()
    });
    lease
}

fn topic(object: &str, uid: &str) -> KafkaTopic {
    let spec = KafkaTopicSpec {
        cluster: "demo".into(),
        topic_name: None,
        partitions: 1,
        replicas: 1,
        config: Default::default(),
    };
    let mut topic = KafkaTopic::new(object, spec);
    topic.metadata.uid = Some(uid.to_owned());
    topic
}

fn partitions(ids: &[&str]) -> KafkaPartitions {
    let spec = KafkaPartitionsSpec {
        cluster: "demo".into(),
        partitions: ids.iter().map(|id| (format!("{id}/0"), STATE.to_owned())).collect(),
        ..KafkaPartitionsSpec::default()
    };
    KafkaPartitions::new("demo-0", spec)
}

#[test]
fn a_picture_is_complete_when_every_kind_was_listed() {
    let mut scene = Scene::new();
    let lists = [
        Change::Cluster(Of::Listed),
        Change::Topic(Of::Listed),
        Change::Partitions(Of::Listed),
        Change::Lease(Of::Listed),
    ];
    for list in lists {
        assert!(!scene.picture.is_complete());
        scene.take(list);
    }
    assert!(scene.picture.is_complete());
    // Once it was, a broken watch does not take it back.
    scene.take(Change::Lease(Of::Broken));
    assert!(scene.picture.is_complete());
}

#[test]
fn a_broker_is_alive_while_its_lease_changes() {
    let mut scene = Scene::new();
    scene.renew(0);
    scene.renew(1);
    scene.renew(2);
    for _ in 0..10 {
        scene.second(&[0, 1, 2]);
    }
    assert_eq!(scene.alive(), [0, 1, 2]);
    scene.second(&[0, 1]);
    scene.second(&[0, 1]);
    assert_eq!(scene.alive(), [0, 1, 2]);
    scene.second(&[0, 1]);
    assert_eq!(scene.alive(), [0, 1]);
    assert_eq!(scene.shown(), [0, 1, 2], "it may come back");
    scene.second(&[0, 1, 2]);
    assert_eq!(scene.alive(), [0, 1, 2]);
}

#[test]
fn nobody_is_dead_because_the_api_server_is_away() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        scene.second(&[0, 1, 2]);
    }
    for _ in 0..60 {
        scene.second(&[]);
        assert_eq!(scene.alive(), [0, 1, 2]);
    }
    // It is back, and others are a little later than this broker.
    scene.second(&[0]);
    assert_eq!(scene.alive(), [0, 1, 2]);
    // One of them does not come back.
    for _ in 0..4 {
        scene.second(&[0, 1]);
    }
    assert_eq!(scene.alive(), [0, 1]);
}

#[test]
fn all_others_may_be_dead_while_this_broker_renews() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        scene.second(&[0, 1, 2]);
    }
    for _ in 0..3 {
        scene.second(&[0]);
    }
    assert_eq!(scene.alive(), [0]);
}

#[test]
fn a_released_lease_is_at_once_that_of_no_living_broker() {
    let mut scene = Scene::new();
    scene.second(&[0, 1]);
    scene.take(Change::Lease(Of::Applied(Box::new(lease(1, None, 7)))));
    assert_eq!(scene.alive(), [0]);
}

#[test]
fn this_broker_is_always_there() {
    let mut scene = Scene::new();
    assert_eq!(scene.alive(), [0]);
    scene.renew(0);
    scene.take(Change::Lease(Of::Gone("demo-0".into())));
    assert_eq!(scene.alive(), [0]);
    let image = scene.picture.image();
    assert_eq!(image.brokers[&0].host.as_deref(), Some("demo-broker-0.kafka.svc"));
}

#[test]
fn brokers_that_were_scaled_away_go_once_they_are_dead() {
    let mut scene = Scene::new();
    scene.wants(3);
    for _ in 0..3 {
        scene.second(&[0, 1, 2]);
    }
    scene.wants(2);
    assert_eq!(scene.shown(), [0, 1, 2], "it may still lead");
    for _ in 0..4 {
        scene.second(&[0, 1]);
    }
    assert_eq!(scene.shown(), [0, 1]);
    scene.take(Change::Lease(Of::Gone("demo-1".into())));
    assert_eq!(scene.shown(), [0]);
}

#[test]
fn strangers_and_the_nameless_are_no_brokers() {
    let mut scene = Scene::new();
    let mut nowhere = lease(1, Some("holder"), 0);
    nowhere.metadata.annotations = None;
    scene.take(Change::Lease(Of::Applied(Box::new(nowhere))));
    let mut strange = lease(1, Some("holder"), 0);
    strange.metadata.name = Some("demo-operator".to_owned());
    scene.take(Change::Lease(Of::Applied(Box::new(strange))));
    assert_eq!(scene.shown(), [0]);
}

#[test]
fn topics_come_and_go_with_their_objects() {
    let mut scene = Scene::new();
    scene.take(Change::Partitions(Of::Applied(Box::new(partitions(&[ID])))));
    scene.take(Change::Topic(Of::Applied(Box::new(topic("orders", ID)))));
    assert!(scene.picture.image().topic("orders").is_some());
    // Made anew while nobody looked: the old one is gone, the new one has no partitions yet.
    scene.take(Change::Topic(Of::Applied(Box::new(topic("orders", OTHER)))));
    assert!(scene.picture.image().topic("orders").is_none());
    scene.take(Change::Partitions(Of::Applied(Box::new(partitions(&[ID, OTHER])))));
    let id = scene.picture.image().topic("orders").unwrap().id;
    assert_eq!(id, Uuid::parse_str(OTHER).unwrap());
    scene.take(Change::Topic(Of::Gone("orders".into())));
    assert!(scene.picture.image().topic("orders").is_none());
    assert!(scene.picture.image().known.contains(&id), "its data stays");
}

#[test]
fn whom_the_operator_believes_dead_is_dead_until_it_renews() {
    let mut scene = Scene::new();
    scene.second(&[0, 1]);
    let mut noted = lease(1, Some("holder"), 1);
    noted.annotations_mut().insert(names::BELIEVED_DEAD.to_owned(), "7".to_owned());
    scene.take(Change::Lease(Of::Applied(Box::new(noted.clone()))));
    assert_eq!(scene.alive(), [0, 1], "of another broker epoch");
    noted.annotations_mut().insert(names::BELIEVED_DEAD.to_owned(), "1".to_owned());
    scene.take(Change::Lease(Of::Applied(Box::new(noted))));
    assert_eq!(scene.alive(), [0]);
    scene.second(&[0, 1]);
    scene.second(&[0, 1]);
    assert_eq!(scene.alive(), [0, 1], "the operator was wrong");
}

#[test]
fn what_a_broker_cannot_serve_is_seen() {
    let mut scene = Scene::new();
    scene.second(&[0, 1]);
    let mut troubled = lease(1, Some("holder"), 2);
    troubled.annotations_mut().insert(names::OFFLINE_PARTITIONS.to_owned(), format!("{ID}/3"));
    scene.take(Change::Lease(Of::Applied(Box::new(troubled))));
    scene.picture.judge(scene.now);
    assert_eq!(scene.picture.image().brokers[&1].offline.to_string(), format!("{ID}/3"));
}
