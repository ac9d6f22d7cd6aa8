//! Changes of the ISR, written into KafkaPartitions objects: one JSON Patch an object, which tests and replaces the
//! texts of the partitions that change and leaves their neighbours alone (rule 1).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use milena_crds::{KafkaPartitions, partition::PartitionKey};
use milena_replication::Outcome;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{MANAGER, place::Place, refusal::Failure};
use crate::{Answered, IsrChange};

/// An attempt is given up after so long; what it has done is not known then.
const PATIENCE: Duration = Duration::from_secs(5);
/// So often changes of one object are written together, without those that were in the way the last time.
const ROUNDS: u32 = 4;
/// Objects that are written at a time: what the first ones hold goes on while the last ones wait.
const AT_A_TIME: usize = 4;

/// In which object each partition's state lies.
#[derive(Debug, Default)]
pub struct Objects {
    of: HashMap<PartitionKey, Arc<str>>,
    keys: HashMap<Arc<str>, Vec<PartitionKey>>,
}

impl Objects {
    /// An object that is new or changed.
    pub fn apply(&mut self, object: &KafkaPartitions) {
        let name: Arc<str> = Arc::from(object.name_any());
        self.remove(&name);
        let keys: Vec<PartitionKey> =
            object.spec.partitions.keys().filter_map(|key| key.parse().ok()).collect();
        self.of.extend(keys.iter().map(|key| (*key, name.clone())));
        self.keys.insert(name, keys);
    }

    /// An object that is gone.
    pub fn remove(&mut self, name: &str) {
        for key in self.keys.remove(name).unwrap_or_default() {
            if self.of.get(&key).is_some_and(|object| **object == *name) {
                self.of.remove(&key);
            }
        }
    }
}

/// Writes changes of the ISR.
pub struct Isr {
    broker: i32,
    api: Api<KafkaPartitions>,
    objects: Arc<RwLock<Objects>>,
}

impl Isr {
    /// Of the objects of this broker's cluster; `objects` is kept in line with a watch.
    pub fn new(client: Client, place: &Place, objects: Arc<RwLock<Objects>>) -> Isr {
        Isr { broker: place.broker, api: Api::namespaced(client, &place.namespace), objects }
    }

    /// Makes the changes, and answers how each attempt has ended, object by object.
    pub async fn change(&self, changes: &[IsrChange], mut answered: Answered<'_>) {
        // A partition whose object is not known has been deleted, or is not seen yet.
        let mut unknown = Vec::new();
        let mut by_object: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
        {
            let objects = self.objects.read();
            for (index, change) in changes.iter().enumerate() {
                match objects.of.get(&change.key) {
                    Some(object) => by_object.entry(object.clone()).or_default().push(index),
                    None => unknown.push(index),
                }
            }
        }
        unknown.into_iter().for_each(|index| answered(index, Outcome::Unknown));
        let mut by_object: Vec<_> = by_object.into_iter().collect();
        let first = begins_at(self.broker, by_object.len());
        by_object.rotate_left(first);
        let mut written = stream::iter(by_object)
            .map(|(object, indexes)| async move { self.change_object(&object, changes, indexes).await })
            .buffer_unordered(AT_A_TIME);
        while let Some(outcomes) = written.next().await {
            outcomes.into_iter().for_each(|(index, outcome)| answered(index, outcome));
        }
    }

    async fn change_object(
        &self,
        object: &str,
        changes: &[IsrChange],
        indexes: Vec<usize>,
    ) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(indexes.len());
        let mut left = indexes;
        for _ in 0..ROUNDS {
            let of: Vec<&IsrChange> = left.iter().filter_map(|index| changes.get(*index)).collect();
            let together = self.attempt(object, &of).await;
            if together != Outcome::Conflict || left.len() == 1 {
                outcomes.extend(left.into_iter().map(|index| (index, together)));
                return outcomes;
            }
            // Some of them are in the way of the others.
            let Ok(there) = self.api.get(object).await else { break };
            let (stand, fall) = left
                .into_iter()
                .partition(|index| changes.get(*index).is_some_and(|change| is_there(&there, change)));
            let fall: Vec<usize> = fall;
            outcomes.extend(fall.into_iter().map(|index| (index, Outcome::Conflict)));
            left = stand;
            if left.is_empty() {
                return outcomes;
            }
        }
        // To be tried again: what stands is as they expect it, as far as is known.
        outcomes.extend(left.into_iter().map(|index| (index, Outcome::Unknown)));
        outcomes
    }

    async fn attempt(&self, object: &str, changes: &[&IsrChange]) -> Outcome {
        let Ok(operations) = serde_json::from_value(operations(changes)) else { return Outcome::Unknown };
        let patch: Patch<()> = Patch::Json(operations);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        // The watch brings the object; the API server need not write it out here, too.
        let answer = match timeout(PATIENCE, self.api.patch_metadata(object, &parameters, &patch)).await {
            Ok(answer) => answer.map(|_| ()).map_err(Failure::from),
            Err(_) => Err(Failure::Unknown(format!("nothing came within {PATIENCE:?}"))),
        };
        match answer {
            Ok(()) => Outcome::Succeeded,
            Err(Failure::Refused(status)) => {
                if matches!(status.code, 401 | 403) {
                    warn!(object, message = status.message, "in-sync replicas cannot be changed");
                }
                debug!(object, code = status.code, message = status.message, "others were faster");
                Outcome::Conflict
            }
            Err(Failure::Unreachable(why) | Failure::Unknown(why)) => {
                debug!(object, why, "it is not known whether in-sync replicas have changed");
                Outcome::Unknown
            }
        }
    }
}

/// With which of so many objects a broker begins. After another one's death all the leaders write the same objects, and who
/// is in another's way makes the API server do it again: each begins elsewhere, wherever the others are.
fn begins_at(broker: i32, objects: usize) -> usize {
    // Multiples of the golden ratio lie apart from each other however many there are.
    let turn = u64::from(broker.unsigned_abs()).wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
    let objects = u64::try_from(objects).unwrap_or(0);
    usize::try_from(turn.saturating_mul(objects) >> 32).unwrap_or(0)
}

/// Whether the object has the state that a change was made on.
fn is_there(object: &KafkaPartitions, change: &IsrChange) -> bool {
    let text = object.spec.partitions.get(&change.key.to_string());
    text.is_some_and(|text| *text == change.change.old.to_string())
}

fn operations(changes: &[&IsrChange]) -> Value {
    let of = |change: &&IsrChange| {
        let path = format!("/spec/partitions/{}", change.key.to_string().replace('/', "~1"));
        [
            json!({ "op": "test", "path": path, "value": change.change.old.to_string() }),
            json!({ "op": "replace", "path": path, "value": change.change.new.to_string() }),
        ]
    };
    Value::Array(changes.iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use milena_crds::KafkaPartitionsSpec;
    use milena_replication::Change;

    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn object(name: &str, keys: &[&str]) -> KafkaPartitions {
        let partitions = keys.iter().map(|key| (format!("{ID}/{key}"), String::new())).collect();
        KafkaPartitions::new(name, KafkaPartitionsSpec { partitions, ..KafkaPartitionsSpec::default() })
    }

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: ID.parse().unwrap(), partition }
    }

    #[test]
    fn partitions_are_found_where_they_lie() {
        let mut objects = Objects::default();
        objects.apply(&object("demo-0", &["0", "1"]));
        objects.apply(&object("demo-1", &["2"]));
        assert_eq!(objects.of.get(&key(1)).map(AsRef::as_ref), Some("demo-0"));
        objects.apply(&object("demo-0", &["0"]));
        assert_eq!(objects.of.get(&key(1)), None);
        objects.remove("demo-1");
        assert_eq!((objects.of.len(), objects.keys.len()), (1, 1));
    }

    #[test]
    fn each_broker_begins_elsewhere() {
        assert_eq!([0, 1, 2, 3, 4].map(|broker| begins_at(broker, 20)), [0, 12, 4, 17, 9]);
        assert_eq!([1, i32::MAX, i32::MIN].map(|broker| begins_at(broker, 1)), [0; 3]);
        assert_eq!(begins_at(7, 0), 0);
    }

    #[test]
    fn a_patch_tests_what_it_replaces() {
        let old = "replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1 elr=";
        let new = "replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch=6 isr=0.0000000a-1,1.0000000b-1 elr=";
        let change = Change { old: old.parse().unwrap(), new: new.parse().unwrap() };
        let path = format!("/spec/partitions/{ID}~17");
        assert_eq!(
            operations(&[&IsrChange { key: key(7), change }]),
            json!([
                { "op": "test", "path": path, "value": old },
                { "op": "replace", "path": path, "value": new },
            ])
        );
    }
}
