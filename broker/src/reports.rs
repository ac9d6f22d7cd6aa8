//! How far this broker's logs go, for an operator that holds a recovery election (rule 8).

use std::collections::BTreeMap;

use milena_crds::{
    inquiry::{Answer, Question, Unreadable},
    partition::{PartitionKey, Report},
};
use tracing::info;

use crate::node::Broker;

/// The answer to a question's frame.
///
/// # Errors
/// It is not understood.
pub fn answer(broker: &Broker, frame: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let question = Question::decode(frame)?;
    Ok(Answer { broker: broker.id, reports: broker.reports(&question.partitions) }.encode())
}

impl Broker {
    /// What is known of these partitions: those whose log is open here, and that by the newest state, of that leader
    /// epoch at least, nobody leads. From then on everything up to that epoch is refused there.
    pub fn reports(&self, asked: &BTreeMap<PartitionKey, i32>) -> BTreeMap<PartitionKey, Report> {
        let view = self.view();
        if view.image.unkept {
            // What is refused has to be on disk before the answer leaves.
            return BTreeMap::new();
        }
        let report = |(key, epoch): (&PartitionKey, &i32)| {
            let partition = view.hosted.partition(key.topic_id, key.partition)?;
            let report = partition.report(*epoch)?;
            info!(
                broker = self.id, partition = %partition.name(), last_epoch = report.last_epoch, end = report.log_end,
                "told how far the log goes, for a recovery election"
            );
            Some((*key, report))
        };
        asked.iter().filter_map(report).collect()
    }
}
