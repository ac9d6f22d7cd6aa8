//! The program as the operator starts it.

use k8s_openapi::api::coordination::v1::Lease;
use kafka_protocol::messages::{
    ListOffsetsRequest, MetadataRequest, TopicName,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    metadata_request::MetadataRequestTopic,
};
use kafka_protocol::protocol::StrBytes;
use kube::ResourceExt as _;
use milena_crds::{KafkaTopic, names};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    scene::{SOON, Scene},
    support::{Client, Process},
};

impl Scene {
    /// It registers, leads, goes on leading when it is killed and started again without the API server, and gives its
    /// Lease back at the end.
    pub async fn a_process_serves(&mut self) {
        let kubeconfig = self.data_dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, self.plane.kubeconfig()).unwrap();
        let settings = self.data_dir.path().join("broker.properties");
        std::fs::write(&settings, "# by the operator\nnum.partitions=3\nno.such.setting=1\n").unwrap();
        let variables = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("MILENA_CLUSTER", "demo"),
            ("MILENA_NAMESPACE", "default"),
            ("MILENA_POD_NAME", "demo-1"),
            ("MILENA_POD_IP", "127.0.0.1"),
            ("MILENA_CONFIG_FILE", settings.to_str().unwrap()),
        ];
        let mut process = Process::start_with(&[], &variables);
        let lease = self.registered("demo-1").await;
        let generation = lease.annotations()[names::LOG_GENERATION].clone();
        self.make("served", "demo", None).await;
        let id = self.api::<KafkaTopic>().get("served").await.unwrap().topic_id().unwrap();
        self.lead_by(1, &generation, id, 1, 1).await;
        leads(&process).await;
        let metadata = process.connect().ask(9, &MetadataRequest::default().with_topics(None));
        let me = metadata.brokers.iter().find(|broker| broker.node_id.0 == 1).unwrap();
        assert_eq!((me.host.as_str(), me.port), ("localhost", 9093), "as a port-forward reaches it");

        self.plane.stop_api_server();
        process.kill_and_restart();
        leads(&process).await;

        self.plane.start_api_server().await;
        let begun = Instant::now();
        while self.registered("demo-1").await.spec.unwrap().lease_transitions != Some(2) {
            assert!(begun.elapsed() < SOON);
            sleep(std::time::Duration::from_millis(50)).await;
        }
        self.what_cannot_be_remembered_is_not_acted_on(&mut process, &generation, id).await;
        assert!(process.terminate(), "it did not stop in order");
        let marker = process.data.path().join(".kafka_cleanshutdown");
        assert!(!marker.exists(), "the next start would take what it remembers for all there was");
        let spec = self.api::<Lease>().get("demo-1").await.unwrap().spec.unwrap();
        assert_eq!(spec.holder_identity, None);
    }

    /// A start writes its last known state anew, where nothing is in the way of that.
    async fn what_cannot_be_remembered_is_not_acted_on(
        &self,
        process: &mut Process,
        generation: &str,
        id: Uuid,
    ) {
        let in_the_way = process.data.path().join("last-known-state.new");
        std::fs::create_dir(&in_the_way).unwrap();
        process.kill_and_restart();
        leads(process).await;
        let other = self.api::<KafkaTopic>().get("later").await.unwrap().topic_id().unwrap();
        let own = format!("replicas=1 leader=1 leaderEpoch=2 partitionEpoch=2 isr=1.{generation} elr=");
        let others = "replicas=0 leader=0 leaderEpoch=2 partitionEpoch=2 isr=0.9f2c41d7-0 elr=".to_owned();
        self.write_states([(format!("{id}/0"), own), (format!("{other}/0"), others)].into()).await;
        until("the partition of another broker", || leader_epoch(process, "later") == Some(2)).await;
        assert_eq!(leader_epoch(process, "served"), Some(1), "acted on before it was remembered");
        std::fs::remove_dir(&in_the_way).unwrap();
        until("the newest state", || leader_epoch(process, "served") == Some(2)).await;
        leads(process).await;
        std::fs::create_dir(&in_the_way).unwrap();
        process.kill_and_restart();
        leads(process).await;
    }

    async fn registered(&self, pod: &str) -> Lease {
        let begun = Instant::now();
        loop {
            if let Some(lease) = self.api::<Lease>().get_opt(pod).await.unwrap() {
                return lease;
            }
            assert!(begun.elapsed() < SOON, "no Lease {pod}");
            sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Waits until the broker answers as the leader of the partition.
async fn leads(process: &Process) {
    let begun = Instant::now();
    while list_offset(&mut process.connect()) != (0, 0) {
        assert!(begun.elapsed() < SOON, "{:?}", list_offset(&mut process.connect()));
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn until(what: &str, seen: impl Fn() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < SOON, "not seen: {what}");
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The leader epoch of a topic's first partition; none where there is no such topic.
fn leader_epoch(process: &Process, topic: &'static str) -> Option<i32> {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(topic))));
    let request =
        MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
    let answer = process.connect().ask(9, &request);
    answer.topics[0].partitions.first().map(|partition| partition.leader_epoch)
}

/// Error and latest offset of the partition of topic `served`.
fn list_offset(client: &mut Client) -> (i16, i64) {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let name = TopicName(StrBytes::from_static_str("served"));
    let topic = ListOffsetsTopic::default().with_name(name).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = client.ask(5, &request);
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.offset)
}
