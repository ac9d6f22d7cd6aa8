//! One partition of a fetch: what the client wants, and what it was told last.

use std::sync::{Arc, Weak};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::convert;
use crate::{
    node::View,
    partitions::{FetchFrom, Fetched, Mailbox, Partition, PartitionError, Reach, ReadLimits},
};

/// How a request names a topic: by id from Fetch 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// Kafka's name.
    Name(Arc<str>),
    /// The topic's id.
    Id(Uuid),
}

/// What a client wants of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// First offset.
    pub offset: i64,
    /// Most bytes.
    pub max_bytes: usize,
    /// Leader epoch that the client knows, or -1.
    pub leader_epoch: i32,
    /// Epoch of the last record that a follower has, or -1.
    pub last_fetched_epoch: i32,
    /// A follower's log start offset, or -1.
    pub log_start_offset: i64,
}

/// What holds for all partitions of one request.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Version of the request.
    pub version: i16,
    /// How far it may read.
    pub reach: Reach,
    /// Most bytes of all partitions together.
    pub max_bytes: usize,
    /// The consumer's rack, which may be empty, where it may read from followers (KIP-392).
    pub rack: Option<Arc<str>>,
}

/// What one partition was found to have.
pub type Outcome = Result<Fetched, PartitionError>;

/// Where changes of a partition are marked.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) reach: Reach,
    pub(super) mailbox: &'a Arc<Mailbox>,
    pub(super) slot: u32,
}

/// What a client knows of a partition; -1 for what it was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

impl Told {
    const NOTHING: Told = Told { high_watermark: -1, last_stable_offset: -1, log_start_offset: -1 };
}

/// One partition of a session.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) topic: TopicKey,
    pub(super) index: i32,
    pub(super) wanted: Wanted,
    /// Bytes that were found at the last look of this request.
    pub(super) found: usize,
    told: Told,
    watched: Option<Weak<Partition>>,
}

impl Entry {
    pub(super) fn new(topic: TopicKey, index: i32, wanted: Wanted) -> Entry {
        Entry { topic, index, wanted, found: 0, told: Told::NOTHING, watched: None }
    }

    fn from(&self, asking: &Asking) -> FetchFrom {
        let Wanted { offset, leader_epoch, last_fetched_epoch, .. } = self.wanted;
        let (reach, any_replica) = (asking.reach, asking.rack.is_some());
        FetchFrom { offset, leader_epoch, last_fetched_epoch, reach, any_replica }
    }

    /// Has changes of the partition mark that slot, where they do not yet.
    pub(super) fn watch(&mut self, view: &View, watch: Watch<'_>) {
        if let Ok(replica) = self.replica(view) {
            self.watch_replica(&replica, watch);
        }
    }

    fn watch_replica(&mut self, replica: &Arc<Partition>, watch: Watch<'_>) {
        if self.watched.as_ref().is_some_and(|watched| watched.as_ptr() == Arc::as_ptr(replica)) {
            return;
        }
        self.unwatch(watch);
        replica.watch(watch.reach, watch.mailbox, watch.slot);
        self.watched = Some(Arc::downgrade(replica));
    }

    pub(super) fn unwatch(&mut self, watch: Watch<'_>) {
        if let Some(replica) = self.watched.take().and_then(|watched| watched.upgrade()) {
            replica.unwatch(watch.reach, watch.mailbox, watch.slot);
        }
    }

    /// The replica, which is watched from now on.
    fn watched_replica(
        &mut self,
        view: &View,
        watch: Option<Watch<'_>>,
    ) -> Result<Arc<Partition>, PartitionError> {
        let replica = self.replica(view)?;
        if let Some(watch) = watch {
            self.watch_replica(&replica, watch);
        }
        Ok(replica)
    }

    /// Reads what `limits` allow.
    pub(super) fn read(
        &mut self,
        view: &View,
        asking: &Asking,
        limits: ReadLimits,
        watch: Option<Watch<'_>>,
    ) -> Outcome {
        let replica = self.watched_replica(view, watch)?;
        let from = self.from(asking);
        if let Some(rack) = asking.rack.as_deref()
            && let Some(nearer) = replica.nearer_replica(&view.image, rack, from.offset)
        {
            return Ok(Fetched { nearer: Some(nearer), ..replica.look(from)? });
        }
        let found = convert::fetch(asking.version, &replica, from, limits)?;
        let aborted = replica.aborted(from, &found)?;
        Ok(Fetched { aborted, ..found })
    }

    /// How many bytes a read would find; with `exact` false, 1 may stand for any number of them.
    pub(super) fn available(
        &mut self,
        view: &View,
        asking: &Asking,
        exact: bool,
        watch: Option<Watch<'_>>,
    ) -> Result<usize, PartitionError> {
        let replica = self.watched_replica(view, watch)?;
        let from = self.from(asking);
        if exact {
            return replica.available(from, self.wanted.max_bytes);
        }
        let found = replica.look(from)?;
        Ok(usize::from(found.diverging.is_some() || from.offset < found.end))
    }

    /// This broker's replica, by the names and ids of this moment.
    fn replica(&self, view: &View) -> Result<Arc<Partition>, PartitionError> {
        let unknown = |code| PartitionError::new(self.index, code, "no such topic here");
        let topic = match &self.topic {
            // What is hosted is known: the common case needs no look at the picture.
            TopicKey::Id(id) => match view.hosted.partition(*id, self.index) {
                Some(replica) => return Ok(replica.clone()),
                None => view.image.topic_by_id(*id).ok_or_else(|| unknown(ResponseError::UnknownTopicId))?,
            },
            TopicKey::Name(name) => {
                view.image.topic(name).ok_or_else(|| unknown(ResponseError::UnknownTopicOrPartition))?
            }
        };
        view.replica(topic, self.index)
    }

    /// Notes what the client is told; answers whether that is news: records, an error, a diverging log, a replica
    /// that is nearer, or other offsets than it was told last.
    pub(super) fn tell(&mut self, outcome: &Outcome) -> bool {
        let Ok(found) = outcome else {
            // Once the error has gone, everything is news.
            self.told = Told::NOTHING;
            return true;
        };
        let now = Told {
            high_watermark: found.high_watermark,
            last_stable_offset: found.last_stable_offset,
            log_start_offset: found.log_start_offset,
        };
        if found.diverging.is_some() {
            self.told = Told::NOTHING;
            return true;
        }
        let news = self.told != now;
        self.told = now;
        news || !found.records.is_empty() || found.nearer.is_some()
    }

    /// Whether the next look may find something without any change of the partition.
    pub(super) fn has_more(&self, outcome: &Outcome) -> bool {
        outcome.as_ref().map_or(true, |found| found.diverging.is_some() || self.wanted.offset < found.end)
    }
}
