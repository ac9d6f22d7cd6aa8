//! Opens the logs of replicas, many side by side.

use std::{collections::HashMap, sync::Arc};

use milena_crds::partition::Member;
use milena_storage::{Log, LogDir, StorageError, TailBudget, TopicPartition};
use tracing::{error, warn};
use uuid::Uuid;

use super::{Hosted, HostedTopic, Partition};
use crate::{clock, cluster::Topic, config::TopicConfig};

/// Logs are opened by so many threads at a time.
const OPENERS: usize = 8;

/// A replica to open.
pub struct Opening {
    /// Its topic.
    pub topic: Arc<Topic>,
    /// Its number.
    pub index: i32,
    /// The topic's settings.
    pub config: Arc<TopicConfig>,
    /// Where its log is or is to be; none where the broker's log says why not.
    pub dir: Option<Arc<LogDir>>,
}

/// Who opens: this broker.
pub struct Opener<'a> {
    /// This broker, and the generation of its logs.
    pub me: Member,
    /// What logs keep in memory for readers at their ends.
    pub tails: &'a Arc<TailBudget>,
}

impl Opener<'_> {
    /// Opens each, and shows it among what is hosted: served, or failed.
    pub fn open(&self, hosted: &mut Hosted, openings: Vec<Opening>) {
        let opened = if openings.len() < OPENERS {
            openings.iter().map(|opening| self.open_one(opening)).collect()
        } else {
            self.open_side_by_side(&openings)
        };
        let mut topics: HashMap<Uuid, HostedTopic> = HashMap::new();
        for (opening, partition) in openings.iter().zip(opened) {
            let id = opening.topic.id;
            let topic = topics
                .entry(id)
                .or_insert_with(|| hosted.topic(id).map(|topic| topic.as_ref().clone()).unwrap_or_default());
            match partition {
                Some(partition) => {
                    topic.failed.remove(&opening.index);
                    topic.open.insert(opening.index, partition.share());
                }
                None => {
                    topic.failed.insert(opening.index);
                }
            }
        }
        for (id, topic) in topics {
            hosted.put(id, Arc::new(topic));
        }
    }

    fn open_side_by_side(&self, openings: &[Opening]) -> Vec<Option<Partition>> {
        let share = openings.len().div_ceil(OPENERS).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = openings
                .chunks(share)
                .map(|chunk| {
                    let work = || chunk.iter().map(|opening| self.open_one(opening)).collect::<Vec<_>>();
                    (chunk.len(), scope.spawn(work))
                })
                .collect();
            // A thread that panicked has opened nothing.
            let nothing = |count| std::iter::repeat_with(|| None).take(count).collect();
            threads
                .into_iter()
                .flat_map(|(count, thread)| thread.join().unwrap_or_else(|_| nothing(count)))
                .collect()
        })
    }

    fn open_one(&self, opening: &Opening) -> Option<Partition> {
        let Opening { topic, index, config, dir } = opening;
        let dir = dir.as_ref()?;
        let state = topic.partition(*index)?.clone();
        let tp = TopicPartition::new(topic.name.clone(), *index);
        match open_log(dir, &tp, topic.id, config) {
            Ok(log) => {
                log.share_tail_budget(self.tails);
                let (name, config) = (topic.name.clone(), config.clone());
                let partition = Partition::new(name, topic.id, *index, self.me, config, state, log);
                Some(partition.committed_to(dir.high_watermark(&tp)))
            }
            Err(error) => {
                error!(partition = %tp, %error, "cannot be opened; it is tried again from time to time");
                // What the disk refuses here it refuses to others, too.
                dir.fail(&error);
                None
            }
        }
    }
}

/// Opens or makes the log of a partition of the topic of that id.
fn open_log(dir: &LogDir, tp: &TopicPartition, id: Uuid, config: &TopicConfig) -> Result<Log, StorageError> {
    let settings = Arc::new(config.log.clone());
    let now_ms = clock::now_ms();
    if !dir.partition_path(tp).exists() {
        return dir.create_log(tp, id, settings, now_ms);
    }
    let (mut log, report) = dir.open_log(tp, settings.clone(), now_ms)?;
    if log.topic_id().is_some_and(|on_disk| on_disk != id) {
        // An older topic of the same name. Its deletion is not known for sure, so its data is kept.
        drop(log);
        dir.set_aside(tp)?;
        return dir.create_log(tp, id, settings, now_ms);
    }
    if log.topic_id().is_none() {
        // A power cut took the file that names it.
        log.set_topic_id(id)?;
    }
    if report.below_recovery_point {
        error!(partition = %tp, ?report, "DAMAGE: records that were on disk are unreadable and have been cut; look at the disk");
    } else if report.lost_bytes() {
        warn!(partition = %tp, ?report, "the log's tail was torn and has been cut");
    }
    Ok(log)
}
