//! Coordination against a real API server. The operator's part, the state of partitions, is written by the test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "../../../crds/tests/api/control_plane.rs"]
mod control_plane;
mod process;
mod scene;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kafka_protocol::ResponseError;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use milena_broker::{
    cluster::ClusterImage,
    coordination::{Coordination as _, IsrChange, NewTopic, Refusal, kubernetes::Kubernetes},
};
use milena_crds::{
    KafkaCluster, KafkaPartitions, KafkaPartitionsSpec, KafkaTopic, names,
    partition::{PartitionKey, PartitionState},
};
use milena_replication::{Change, Outcome};
use scene::{SOON, Scene, sees, topic};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_takes_its_place_in_a_cluster() {
    let Some(assets) = control_plane::assets() else { return };
    let mut scene = Scene::new(&assets).await;
    let broker = scene.start_broker().await;
    scene.is_registered(1).await;
    scene.topics_are_objects(&broker).await;
    scene.refusals_are_kafkas(&broker).await;
    scene.names_are_found(&broker).await;
    scene.in_sync_replicas_change_by_compare_and_swap(&broker).await;
    scene.many_changes_of_one_object_are_one_write(&broker).await;
    scene.topics_change_and_go(&broker).await;
    scene.idle_is_renewals_alone().await;
    scene.an_outage_hides_nothing(&broker).await;
    scene.a_stop_is_told(broker).await;
    scene.a_start_without_api_server_goes_by_memory().await;
    scene.a_process_serves().await;
}

/// How the attempts have ended, in their order.
async fn change_isr(broker: &Kubernetes, changes: Vec<IsrChange>) -> Vec<Outcome> {
    let mut outcomes = vec![None; changes.len()];
    let answered =
        |index: usize, outcome| assert_eq!(outcomes[index].replace(outcome), None, "{index} twice");
    broker.change_isr(changes, Box::new(answered)).await;
    outcomes.into_iter().map(|outcome| outcome.expect("an outcome of each")).collect()
}

impl Scene {
    async fn topics_are_objects(&self, broker: &Kubernetes) {
        let image = broker.image().borrow().clone();
        assert!(!image.from_memory);
        let cluster = self.api::<KafkaCluster>().get("demo").await.unwrap();
        let id = names::kafka_uuid(Uuid::parse_str(&cluster.uid().unwrap()).unwrap());
        assert_eq!(*image.cluster_id, *id);
        assert_eq!(image.settings["num.partitions"].as_str(), "3");
        assert_eq!(image.brokers[&0].rack.as_deref(), Some("a"));

        let id = broker.create_topic(topic("Orders.v1", 2)).await.unwrap();
        let object = names::object_name("Orders.v1");
        let made = self.api::<KafkaTopic>().get(&object).await.unwrap();
        assert_eq!(made.topic_id(), Some(id));
        assert_eq!(made.spec.topic_name.as_deref(), Some("Orders.v1"));
        assert_eq!((made.spec.partitions, made.spec.cluster.as_str()), (2, "demo"));
        assert_eq!(made.labels()[names::CLUSTER], "demo");
        assert!(broker.image().borrow().topic("Orders.v1").is_none(), "without partitions it is not there");
        self.lead(id, 2, 1).await;
        sees(broker, |image| image.topic("Orders.v1").is_some_and(|topic| topic.partition_count() == 2))
            .await;

        // One made by kubectl is seen, too; one of another cluster is not.
        self.make("mine", "demo", None).await;
        self.make("others", "elsewhere", None).await;
        let id = self.api::<KafkaTopic>().get("mine").await.unwrap().topic_id().unwrap();
        self.lead(id, 1, 1).await;
        sees(broker, |image| image.topic("mine").is_some() && image.topic("Orders.v1").is_none()).await;
        assert!(broker.image().borrow().topic("others").is_none());
    }

    async fn refusals_are_kafkas(&self, broker: &Kubernetes) {
        let refused = broker.create_topic(topic("mine", 1)).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::TopicAlreadyExists);
        let refused = broker.create_topic(NewTopic { replicas: 65, ..topic("three", 1) }).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidReplicationFactor);
        assert!(refused.message.contains("less than or equal to 64"), "{refused}");
        let config = [("retention.ms".to_owned(), "-7".into())].into();
        let refused = broker.create_topic(NewTopic { config, ..topic("configured", 1) }).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidConfig);
        assert!(refused.message.contains("at least -1"), "{refused}");
        let refused = broker.create_topic(topic("many", 10_001)).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidPartitions);
        let refused = broker.create_topic(topic("no/name", 1)).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidTopicException);
    }

    /// Names that others have taken: by another cluster, and by an object that nobody acts on yet.
    async fn names_are_found(&self, broker: &Kubernetes) {
        let id = broker.create_topic(topic("others", 1)).await.unwrap();
        let made = self.api::<KafkaTopic>().get(&names::object_name_in("demo", "others")).await.unwrap();
        assert_eq!((made.topic_id(), made.topic_name()), (Some(id), "others"));
        let refused = broker.create_topic(topic("others", 1)).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::TopicAlreadyExists);

        self.make("claimed-by-kubectl", "demo", Some("Claimed")).await;
        let claimed = async {
            loop {
                match broker.create_topic(topic("Claimed", 1)).await {
                    Err(refused) => return refused,
                    // The watch was not there yet; Kafka's own name is free in the API server.
                    Ok(_) => {
                        let object = names::object_name("Claimed");
                        self.api::<KafkaTopic>().delete(&object, &DeleteParams::default()).await.unwrap();
                    }
                }
            }
        };
        let refused: Refusal = timeout(SOON, claimed).await.unwrap();
        assert_eq!(refused.code, ResponseError::TopicAlreadyExists);
    }

    /// Each change is made on the state that it names or not at all, whatever becomes of its neighbours in the object.
    async fn in_sync_replicas_change_by_compare_and_swap(&self, broker: &Kubernetes) {
        let topic_id = self.api::<KafkaTopic>().get("mine").await.unwrap().topic_id().unwrap();
        self.lead(topic_id, 3, 1).await;
        let known = |image: &ClusterImage| {
            image.topic("mine").is_some_and(|topic| topic.partitions.iter().flatten().count() == 3)
        };
        sees(broker, known).await;
        let state = |epoch: i32, isr: &str| -> PartitionState {
            let text = format!("replicas=0,1 leader=0 leaderEpoch=1 partitionEpoch={epoch} isr={isr} elr=");
            text.parse().unwrap()
        };
        let (alone, both) = ("0.9f2c41d7-0", "0.9f2c41d7-0,1.0000000b-1");
        let spec = KafkaPartitionsSpec {
            cluster: "demo".into(),
            partitions: (0..3)
                .map(|index| (format!("{topic_id}/{index}"), state(1, alone).to_string()))
                .collect(),
            ..Default::default()
        };
        let parameters = PatchParams::apply("operator").force();
        let object = KafkaPartitions::new("demo-0", spec);
        self.api::<KafkaPartitions>().patch("demo-0", &parameters, &Patch::Apply(&object)).await.unwrap();
        let change = |partition: i32, old: PartitionState, new: PartitionState| IsrChange {
            key: PartitionKey { topic_id, partition },
            change: Change { old, new },
        };
        let joins = |partition| change(partition, state(1, alone), state(2, both));
        let outcomes = change_isr(broker, vec![joins(0), joins(1)]).await;
        assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Succeeded]);
        // One of them comes too late, and is in nobody's way.
        let outcomes = change_isr(broker, vec![joins(0), joins(2)]).await;
        assert_eq!(outcomes, [Outcome::Conflict, Outcome::Succeeded]);
        let there = self.api::<KafkaPartitions>().get("demo-0").await.unwrap().spec.partitions;
        let expected = state(2, both).to_string();
        assert!(there.len() == 3 && there.values().all(|text| *text == expected), "{there:?}");
        let unknown = IsrChange { key: PartitionKey { topic_id, partition: 7 }, ..joins(0) };
        assert_eq!(change_isr(broker, vec![unknown]).await, [Outcome::Unknown]);
        sees(broker, |image| {
            let partition = image.topic("mine").and_then(|topic| topic.partition(2));
            partition.is_some_and(|state| state.isr.len() == 2)
        })
        .await;
        self.lead(topic_id, 1, 3).await;
    }

    /// A leader that removes a dead broker from all that it leads writes each object once, and once more where something
    /// there has changed meanwhile, however many partitions that is.
    async fn many_changes_of_one_object_are_one_write(&self, broker: &Kubernetes) {
        const COUNT: i32 = 256;
        let topic_id = self.api::<KafkaTopic>().get("mine").await.unwrap().topic_id().unwrap();
        let state = |epoch: i32, isr: &str| -> PartitionState {
            let text = format!("replicas=0,1 leader=0 leaderEpoch=2 partitionEpoch={epoch} isr={isr} elr=");
            text.parse().unwrap()
        };
        let (alone, both) = ("0.9f2c41d7-0", "0.9f2c41d7-0,1.0000000b-1");
        let states = (0..COUNT).map(|index| (format!("{topic_id}/{index}"), state(5, both).to_string()));
        self.write_states(states.collect()).await;
        let newest = |index: i32| {
            move |image: &ClusterImage| {
                let partition = image.topic("mine").and_then(|topic| topic.partition(index));
                partition.is_some_and(|state| state.partition_epoch == 5)
            }
        };
        sees(broker, newest(COUNT - 1)).await;
        let generation = async || {
            let object = self.api::<KafkaPartitions>().get("demo-0").await.unwrap();
            object.metadata.generation.unwrap()
        };
        let leaves = |index: i32, epoch: i32| IsrChange {
            key: PartitionKey { topic_id, partition: index },
            change: Change { old: state(epoch, both), new: state(epoch + 1, alone) },
        };
        let before = generation().await;
        let half = COUNT / 2;
        let outcomes = change_isr(broker, (0..half).map(|index| leaves(index, 5)).collect()).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Succeeded), "{outcomes:?}");
        assert_eq!(generation().await, before + 1);
        // Ten of them are made on states that are there no more.
        let outcomes = change_isr(broker, (half - 10..COUNT).map(|index| leaves(index, 5)).collect()).await;
        assert!(outcomes[..10].iter().all(|outcome| *outcome == Outcome::Conflict), "{outcomes:?}");
        assert!(outcomes[10..].iter().all(|outcome| *outcome == Outcome::Succeeded), "{outcomes:?}");
        assert_eq!(generation().await, before + 2);
        self.lead(topic_id, 1, 3).await;
    }

    async fn topics_change_and_go(&self, broker: &Kubernetes) {
        let api = self.api::<KafkaTopic>();
        broker.grow_topic("mine", 4).await.unwrap();
        assert_eq!(api.get("mine").await.unwrap().spec.partitions, 4);
        broker.grow_topic("mine", 4).await.unwrap();
        let refused = broker.grow_topic("mine", 3).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidPartitions);
        assert_eq!(api.get("mine").await.unwrap().spec.partitions, 4);

        let change = |pairs: &[(&str, Option<&str>)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
        };
        broker
            .alter_topic("mine", change(&[("retention.ms", Some("5")), ("flush.ms", Some("9"))]))
            .await
            .unwrap();
        broker.alter_topic("mine", change(&[("flush.ms", None), ("segment.ms", None)])).await.unwrap();
        let config = api.get("mine").await.unwrap().spec.config;
        assert_eq!(config, [("retention.ms".to_owned(), "5".into())].into());
        sees(broker, |image| image.topic("mine").is_some_and(|topic| topic.config == config)).await;
        let refused = broker.alter_topic("mine", change(&[("flush.ms", Some("x"))])).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::InvalidConfig);
        let refused = broker.alter_topic("none", change(&[])).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::UnknownTopicOrPartition);

        let id = broker.image().borrow().topic("mine").unwrap().id;
        broker.delete_topic(id).await.unwrap();
        assert!(api.get_opt("mine").await.unwrap().is_none());
        sees(broker, |image| image.topic("mine").is_none()).await;
        broker.delete_topic(id).await.unwrap();
        assert!(broker.image().borrow().known.contains(&id), "its deletion is not recorded yet");
    }

    /// Nothing but the Lease is written, once a second.
    async fn idle_is_renewals_alone(&self) {
        let before = (self.versions().await, self.lease().await);
        let mut renewals = 0;
        let mut last = before.1.resource_version();
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            let version = self.lease().await.resource_version();
            renewals += i32::from(version != last);
            last = version;
            sleep(Duration::from_millis(100)).await;
        }
        assert!((2..=5).contains(&renewals), "{renewals} renewals in 4 s");
        assert_eq!(self.versions().await, before.0);
        let lease = self.lease().await;
        assert_eq!(lease.annotations(), before.1.annotations());
    }

    /// Name and version of every object but the Leases.
    async fn versions(&self) -> Vec<(String, Option<String>)> {
        let all = ListParams::default();
        let mut versions = Vec::new();
        let mut add = |name: String, version| versions.push((name, version));
        for topic in self.api::<KafkaTopic>().list(&all).await.unwrap() {
            add(topic.name_any(), topic.resource_version());
        }
        for object in self.api::<KafkaPartitions>().list(&all).await.unwrap() {
            add(object.name_any(), object.resource_version());
        }
        for cluster in self.api::<KafkaCluster>().list(&all).await.unwrap() {
            add(cluster.name_any(), cluster.resource_version());
        }
        versions
    }

    async fn an_outage_hides_nothing(&mut self, broker: &Kubernetes) {
        let id = broker.create_topic(topic("kept", 1)).await.unwrap();
        self.lead(id, 1, 3).await;
        sees(broker, |image| image.topic("kept").is_some()).await;
        self.plane.stop_api_server();
        let mut registration = broker.registration();
        let away = registration.wait_for(|state| !state.reachable);
        timeout(SOON, away).await.expect("the outage is not noticed").unwrap();
        sleep(Duration::from_secs(4)).await;
        let image = broker.image().borrow().clone();
        assert!(image.topic("kept").is_some());
        assert!(image.brokers[&0].alive);
        let begun = Instant::now();
        let refused = broker.delete_topic(id).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::NotController, "{refused}");
        assert!(begun.elapsed() < SOON);

        // A request that comes shortly before the API server does is answered.
        let (made, ()) =
            tokio::join!(broker.create_topic(topic("patient", 1)), self.plane.start_api_server());
        if let Err(refused) = &made {
            assert_eq!(refused.code, ResponseError::NotController, "{refused}");
        }
        self.make("later", "demo", None).await;
        let later = self.api::<KafkaTopic>().get("later").await.unwrap().topic_id().unwrap();
        self.lead(later, 1, 1).await;
        sees(broker, |image| image.topic("later").is_some() && image.topic("kept").is_none()).await;
        self.lead(id, 1, 3).await;
        sees(broker, |image| image.topic("kept").is_some()).await;
        timeout(SOON, registration.wait_for(|state| state.reachable)).await.unwrap().unwrap();
        assert_eq!(self.lease().await.spec.unwrap().lease_transitions, Some(1), "the same life");
    }

    async fn a_stop_is_told(&self, broker: Kubernetes) {
        broker.drain();
        let begun = Instant::now();
        while self.lease().await.annotations().get(names::DRAINING).is_none() {
            assert!(begun.elapsed() < SOON);
            sleep(Duration::from_millis(20)).await;
        }
        timeout(SOON, broker.release()).await.unwrap();
        let spec = self.lease().await.spec.unwrap();
        assert_eq!((spec.holder_identity, spec.lease_transitions), (None, Some(1)));
    }

    async fn a_start_without_api_server_goes_by_memory(&mut self) {
        self.plane.stop_api_server();
        // Of two log directories the first has lost it.
        std::fs::remove_file(self.dirs.opened()[0].path().join("last-known-state")).unwrap();
        let broker = self.start_broker().await;
        let mut images = broker.image();
        let known = images.borrow_and_update().clone();
        assert!(known.from_memory);
        let kept = known.topic("kept").unwrap();
        assert_eq!(kept.partition(0).unwrap().leader_epoch, 3);
        assert_eq!(known.settings["num.partitions"].as_str(), "3");
        let refused = broker.grow_topic("kept", 9).await.unwrap_err();
        assert_eq!(refused.code, ResponseError::NotController);

        self.plane.start_api_server().await;
        sees(&broker, |image| !image.from_memory && image.topic("kept").is_some()).await;
        self.is_registered(2).await;

        // A Lease that somebody deletes comes back, of the same life.
        self.api::<Lease>().delete("demo-0", &DeleteParams::default()).await.unwrap();
        self.is_registered(2).await;

        // A backup of etcd is older than what the broker has seen: it does not act on it.
        let id = broker.image().borrow().topic("kept").unwrap().id;
        self.lead(id, 1, 2).await;
        sees(&broker, |image| image.topic("kept").is_some_and(|topic| topic.partition(0).is_none())).await;
        self.lead(id, 1, 4).await;
        sees(&broker, |image| image.topic("kept").is_some_and(|topic| topic.partition(0).is_some())).await;
    }
}
