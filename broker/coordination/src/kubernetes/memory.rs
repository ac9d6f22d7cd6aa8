//! What this broker saw last, on its disk: it goes by it when it starts while the API server is away (rule 10), and it
//! takes no older state of a partition after it (rule 13).
//!
//! The file grows by what changes, as a log does, and is written anew where it has become twice as long as its content.
//! Before a state of one of this broker's own partitions is acted on, it is on the disk; the rest is only written. Where
//! that fails, this broker goes on with the states that are on the disk until it can be done. Of several log directories
//! two have [`copies`].

mod copies;
mod file;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use imbl::{HashMap, ordmap::DiffItem};
use milena_crds::partition::{Generation, Offline, PartitionKey, PartitionState};
use tracing::{error, info};
use uuid::Uuid;

use super::outage::Outage;
use crate::cluster::{ClusterImage, Topic};
use copies::Copies;
use file::Record;

pub use copies::Home;
pub use file::FileError;

/// The newest picture that was seen, and its files.
pub struct Memory {
    broker: i32,
    /// What is remembered: of each partition the newest state ever seen.
    image: ClusterImage,
    /// Topics with replicas here that went without their deletion being recorded: somebody may adopt them (rule 12).
    missing: HashMap<Uuid, Arc<Topic>>,
    broker_epoch: i32,
    resumable: bool,
    copies: Copies,
    /// All is to be written anew: an attempt failed, or this life has written nothing yet.
    rewrite: bool,
    /// The newest picture is not remembered, because an attempt failed.
    missed: bool,
    /// Something is not on the disk since an attempt failed.
    behind: Arc<AtomicBool>,
    outage: Outage,
    /// Partitions of which an older state was shown, for the log.
    refused: BTreeSet<(Uuid, usize)>,
    /// What is remembered, for who answers the operator.
    shared: Arc<ArcSwap<Remembered>>,
}

/// What is remembered, at one moment.
#[derive(Default)]
pub struct Remembered {
    image: ClusterImage,
    missing: HashMap<Uuid, Arc<Topic>>,
}

impl Remembered {
    /// The newest state ever seen of a partition.
    pub fn state(&self, key: &PartitionKey) -> Option<&PartitionState> {
        let topic = self.image.topic_by_id(key.topic_id).or_else(|| self.missing.get(&key.topic_id))?;
        topic.partition(key.partition)
    }
}

impl Memory {
    /// Reads what the last life left, of several copies the newest. A damaged end is left out, as that of a log.
    ///
    /// # Errors
    /// A file is there and none can be read, or one is of an unknown format.
    pub fn open(homes: Vec<Home>, broker: i32, generation: Generation) -> Result<Memory, FileError> {
        let (copies, contents) = Copies::open(homes, generation)?;
        let mut contents = contents.into_iter();
        let newest = contents.next().unwrap_or_default();
        let mut memory = Memory {
            broker,
            image: ClusterImage::default(),
            missing: HashMap::new(),
            broker_epoch: 0,
            // A log that may have lost records asks the API server itself (rule 3).
            resumable: newest.generation == Some(generation),
            copies,
            rewrite: true,
            missed: false,
            behind: Arc::default(),
            outage: Outage::default(),
            refused: BTreeSet::new(),
            shared: Arc::default(),
        };
        for record in newest.records {
            memory.replay(record);
        }
        for older in contents.filter(|older| older.number < newest.number) {
            memory.compare(&older.records);
        }
        memory.share();
        Ok(memory)
    }

    /// Takes what an older copy knows better: a directory may have been away while states were written elsewhere.
    fn compare(&mut self, records: &[Record]) {
        for old in records.iter().filter_map(Record::topic) {
            if let Some(known) = self.image.topic_by_id(old.id).cloned() {
                self.image.put_topic(Arc::new(self.newest(Some(&old), &known)));
            }
        }
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::Cluster { id, settings } => {
                self.image.cluster_id = Arc::from(id);
                self.image.settings = Arc::new(settings);
            }
            Record::Broker { id, .. } => {
                if let Some(broker) = record.broker() {
                    self.image.brokers.insert(id, broker);
                }
            }
            Record::BrokerGone { id } => {
                self.image.brokers.remove(&id);
            }
            Record::Topic { .. } => {
                if let Some(topic) = record.topic() {
                    self.missing.remove(&topic.id);
                    self.image.put_topic(Arc::new(topic));
                }
            }
            Record::TopicGone { id } => {
                self.image.remove_topic(id);
                self.missing.remove(&id);
            }
            Record::TopicMissing { id } => {
                if let Some(topic) = self.image.topic_by_id(id).cloned() {
                    self.missing.insert(id, topic);
                }
                self.image.remove_topic(id);
            }
            Record::BrokerEpoch { epoch } => self.broker_epoch = epoch,
            // Told apart where the file is read.
            Record::Written { .. } => {}
        }
    }

    /// The broker epoch of the last life; 0 where it is not known.
    pub fn broker_epoch(&self) -> i32 {
        self.broker_epoch
    }

    /// The picture to go by while the API server is away; none where there is none that may be gone by.
    pub fn resume(&self) -> Option<Arc<ClusterImage>> {
        (self.resumable && !self.image.cluster_id.is_empty()).then(|| {
            let mut image = self.image.clone();
            image.from_memory = true;
            Arc::new(image)
        })
    }

    /// What is remembered, for who answers the operator.
    pub fn shared(&self) -> Arc<ArcSwap<Remembered>> {
        self.shared.clone()
    }

    fn share(&self) {
        let (image, missing) = (self.image.clone(), self.missing.clone());
        self.shared.store(Arc::new(Remembered { image, missing }));
    }

    /// Partitions of which something newer is remembered than was shown last.
    pub fn older(&self) -> Offline {
        let key = |(id, index): &(Uuid, usize)| {
            Some(PartitionKey { topic_id: *id, partition: i32::try_from(*index).ok()? })
        };
        Offline::named(self.refused.iter().filter_map(key).collect())
    }

    /// Whether something is not on the disk since an attempt failed: it is to be tried again. Until then the next start
    /// must not take this life's end for an orderly one.
    pub fn behind(&self) -> Arc<AtomicBool> {
        self.behind.clone()
    }

    /// Remembers the broker epoch of this life.
    pub fn remember_epoch(&mut self, epoch: i32) {
        if std::mem::replace(&mut self.broker_epoch, epoch) != epoch {
            let (image, missing) = (self.image.clone(), self.missing.clone());
            self.write(&image, &missing, &[Record::BrokerEpoch { epoch }], true);
            self.show_whether_behind();
        }
    }

    fn show_whether_behind(&self) {
        self.behind.store(self.rewrite || self.missed, Ordering::Release);
    }

    /// Remembers a picture, and answers what of it may be acted on: all but partitions of which something newer was
    /// seen before, and, where the disk refuses, but newer states of this broker's own partitions, which stay as they
    /// are remembered.
    ///
    /// Blocks on the disk. One that fails does not stop the broker from following the control plane in all else, which
    /// may be about to make room on it.
    pub fn remember(&mut self, seen: &ClusterImage) -> Arc<ClusterImage> {
        let mut shown = seen.clone();
        let mut own = Vec::new();
        let mut records = Vec::new();
        let mut durable = false;
        if self.image.cluster_id != seen.cluster_id || *self.image.settings != *seen.settings {
            records.push(Record::cluster(seen));
        }
        for item in self.image.brokers.diff(&seen.brokers) {
            match item {
                DiffItem::Add(id, broker) | DiffItem::Update { new: (id, broker), .. } => {
                    records.push(Record::of_broker(*id, broker));
                }
                DiffItem::Remove(id, _) => records.push(Record::BrokerGone { id: *id }),
            }
        }
        let (mut topics, mut missing) = (Vec::new(), self.missing.clone());
        for item in self.image.topics.diff(&seen.topics) {
            match item {
                DiffItem::Add(_, new) => topics.push((missing.remove(&new.id), new.clone())),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    topics.push((Some(old.clone()).filter(|old| old.id == new.id), new.clone()));
                }
                DiffItem::Remove(_, old) => {
                    self.refused.retain(|(id, _)| *id != old.id);
                    if self.hosts(old) {
                        missing.insert(old.id, old.clone());
                        records.push(Record::TopicMissing { id: old.id });
                    } else {
                        records.push(Record::TopicGone { id: old.id });
                    }
                }
            }
        }
        let deleted: Vec<Uuid> = missing.keys().filter(|id| seen.deleted.contains(*id)).copied().collect();
        for id in deleted {
            missing.remove(&id);
            records.push(Record::TopicGone { id });
        }
        let mut remembered = seen.clone();
        for (old, new) in topics {
            let newest = Arc::new(self.newest(old.as_deref(), &new));
            if newest.partitions == new.partitions {
                self.refused.retain(|(id, _)| *id != new.id);
            } else {
                shown.put_topic(Arc::new(self.without_older(&newest, &new)));
                remembered.put_topic(newest.clone());
            }
            // One that was missing is there again, whatever its states.
            if old.as_deref() != Some(newest.as_ref()) || self.missing.contains_key(&newest.id) {
                records.push(Record::of_topic(&newest));
                if self.hosts(&newest) || old.as_ref().is_some_and(|old| self.hosts(old)) {
                    durable = true;
                    own.push((newest.name.clone(), old));
                }
            }
        }
        shown.older = self.refused.len();
        self.missed = !self.write(&remembered, &missing, &records, durable);
        self.show_whether_behind();
        if !self.missed {
            (self.image, self.missing) = (remembered, missing);
            self.share();
            return Arc::new(shown);
        }
        shown.unkept = true;
        for (name, old) in own {
            if let Some(new) = shown.topic(&name).cloned() {
                shown.put_topic(Arc::new(self.as_remembered(&new, old.as_deref())));
            }
        }
        Arc::new(shown)
    }

    /// The topic with this broker's own partitions as they were.
    fn as_remembered(&self, new: &Topic, old: Option<&Topic>) -> Topic {
        let mut topic = new.clone();
        for (index, state) in topic.partitions.iter_mut().enumerate() {
            let was = old.and_then(|old| old.partitions.get(index)).cloned().flatten();
            if let Some(new) = state
                && (self.holds(new) || was.as_ref().is_some_and(|was| self.holds(was)))
            {
                *state = was;
            }
        }
        topic
    }

    /// The topic with the newest state ever seen of each partition.
    fn newest(&self, old: Option<&Topic>, new: &Topic) -> Topic {
        let mut newest = new.clone();
        // Partitions that were added after a backup was made.
        let more = old.and_then(|old| old.partitions.get(new.partitions.len()..));
        newest.partitions.extend(more.unwrap_or_default().iter().cloned());
        for (partition, old) in newest.partitions.iter_mut().zip(old.iter().flat_map(|old| &old.partitions)) {
            let Some(old) = old else { continue };
            if partition.as_ref().is_none_or(|new| !new.is_successor_of(old)) {
                *partition = Some(old.clone());
            }
        }
        newest
    }

    /// The topic as it may be acted on: without the states that are not the newest.
    fn without_older(&mut self, newest: &Topic, new: &Topic) -> Topic {
        let mut shown = new.clone();
        for (index, (partition, newest)) in shown.partitions.iter_mut().zip(&newest.partitions).enumerate() {
            if partition == newest {
                self.refused.remove(&(new.id, index));
            } else if let (Some(older), Some(newest)) = (partition.take(), newest)
                && self.refused.insert((new.id, index))
            {
                error!(
                    topic = %new.name, partition = index, shown = %older, remembered = %newest,
                    "an older state of a partition than this broker has seen: nothing is done there until the operator, \
                     which is told, has put the newest one back. Was etcd restored from a backup?"
                );
            }
        }
        shown
    }

    fn hosts(&self, topic: &Topic) -> bool {
        topic.partitions.iter().flatten().any(|state| self.holds(state))
    }

    fn holds(&self, state: &PartitionState) -> bool {
        state.replicas.contains(&self.broker)
    }

    /// Writes what is new, or all of `image` where a file has fallen behind or has grown too long. Answers whether that
    /// was done.
    fn write(
        &mut self,
        image: &ClusterImage,
        missing: &HashMap<Uuid, Arc<Topic>>,
        records: &[Record],
        durable: bool,
    ) -> bool {
        if records.is_empty() && !self.rewrite {
            return true;
        }
        let all = || everything(image, missing, self.broker_epoch);
        let written = self.copies.write(records, durable, all);
        self.rewrite = written.is_err();
        let done = written.is_ok();
        match written {
            Ok(()) => {
                if let Some(outage) = self.outage.ends() {
                    info!(?outage, "the last known state is kept on disk again");
                }
            }
            Err(error) if self.outage.begins() => {
                error!(
                    %error,
                    "the last known state cannot be kept on disk: until it can, this broker's partitions stay as they \
                     are, whatever the control plane decides. Make room on the disk, or look at it"
                )
            }
            Err(_) => {}
        }
        done
    }
}

fn everything(
    image: &ClusterImage,
    missing: &HashMap<Uuid, Arc<Topic>>,
    epoch: i32,
) -> impl Iterator<Item = Record> {
    // One of their names may be another topic's by now: they come first.
    let missing =
        missing.values().flat_map(|topic| [Record::of_topic(topic), Record::TopicMissing { id: topic.id }]);
    let brokers = image.brokers.iter().map(|(id, broker)| Record::of_broker(*id, broker));
    let topics = image.topics.values().map(|topic| Record::of_topic(topic));
    [Record::BrokerEpoch { epoch }, Record::cluster(image)]
        .into_iter()
        .chain(missing)
        .chain(brokers)
        .chain(topics)
}

#[cfg(test)]
mod tests;
