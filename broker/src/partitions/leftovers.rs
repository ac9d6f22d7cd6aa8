//! Logs on disk that no topic here has any more: what was deleted or moved to other brokers while this broker was away
//! goes, what nobody knows stays where it is, unserved, and is reported (rule 12).

use milena_storage::{LogDir, LogDirs, PartitionDir, StorageError, TopicPartition};
use tracing::{info, warn};

use super::{Hosted, garbage::remove_directory_later};
use crate::cluster::ClusterImage;

/// What became of the logs that no topic has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Deleted, as it is recorded.
    pub deleted: usize,
    /// Deleted, because other brokers have them now.
    pub moved: usize,
    /// Kept, though no object knows them.
    pub unknown: usize,
}

/// Looks through the data directories once, with a picture that the control plane has given in full; logs that are
/// open need no look.
///
/// # Errors
/// A directory cannot be read, or a log in it cannot be taken away.
pub fn sort_out(
    dirs: &LogDirs,
    me: i32,
    image: &ClusterImage,
    hosted: &Hosted,
) -> Result<Leftovers, StorageError> {
    let mut leftovers = Leftovers::default();
    dirs.in_service().try_for_each(|dir| sort_out_one(dir, me, image, hosted, &mut leftovers))?;
    Ok(leftovers)
}

fn sort_out_one(
    dir: &LogDir,
    me: i32,
    image: &ClusterImage,
    hosted: &Hosted,
    leftovers: &mut Leftovers,
) -> Result<(), StorageError> {
    let is_open = |tp: &TopicPartition| {
        image.topic(tp.topic()).is_some_and(|topic| hosted.partition(topic.id, tp.partition()).is_some())
    };
    for PartitionDir { topic_partition, topic_id, path } in dir.partitions_but(is_open)? {
        let Some(id) = topic_id else { continue };
        let state = image.topic_by_id(id).and_then(|topic| topic.partition(topic_partition.partition()));
        if let Some(state) = state.filter(|state| !state.replicas.contains(&me)) {
            info!(partition = %topic_partition, topic_id = %id, %state, "moved to other brokers while this one was away");
            remove_directory_later(dir.delete_partition(&topic_partition)?);
            leftovers.moved += 1;
            continue;
        }
        if image.known.contains(&id) {
            continue;
        }
        if image.deleted.contains(&id) {
            info!(partition = %topic_partition, topic_id = %id, "deleted while this broker was away");
            remove_directory_later(dir.delete_partition(&topic_partition)?);
            leftovers.deleted += 1;
        } else {
            warn!(
                partition = %topic_partition, topic_id = %id, path = %path.display(),
                "a log of a topic that no object knows is kept and not served: to have it back, make a KafkaTopic \
                 with the annotation milena.dev/topic-id; to be rid of it, remove the folder"
            );
            leftovers.unknown += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use milena_crds::settings::Config;
    use milena_storage::{LogConfig, Owner, TopicPartition};
    use uuid::Uuid;

    use super::*;
    use crate::cluster::Topic;

    #[tokio::test]
    async fn only_what_is_recorded_as_deleted_goes() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner { cluster_id: None, node_id: 0 };
        let dirs = LogDirs::from(LogDir::open(folder.path(), owner).unwrap());
        let dir = &dirs.opened()[0];
        let ids = [1, 2, 3, 4].map(Uuid::from_u128);
        for (name, id) in ["here", "deleted", "unknown", "moved"].into_iter().zip(ids) {
            let tp = TopicPartition::new(name, 0);
            dir.create_log(&tp, id, Arc::new(LogConfig::default()), 0).unwrap();
        }
        let mut image = ClusterImage::default();
        image.known.insert(ids[0]);
        image.deleted.insert(ids[1]);
        for (name, id, replica) in [("here", ids[0], 0), ("moved", ids[3], 7)] {
            let state = format!(
                "replicas={replica} leader={replica} leaderEpoch=0 partitionEpoch=0 isr={replica}.0000000a-0 elr="
            );
            let partitions = vec![Some(state.parse().unwrap())];
            image.known.insert(id);
            image.put_topic(Arc::new(Topic {
                id,
                name: name.into(),
                config: Config::new(),
                replicas: 1,
                partitions,
            }));
        }
        assert_eq!(
            sort_out(&dirs, 0, &image, &Hosted::default()).unwrap(),
            Leftovers { deleted: 1, moved: 1, unknown: 1 }
        );
        let left: Vec<_> = dir.partitions().unwrap().into_iter().filter_map(|dir| dir.topic_id).collect();
        assert!(left.len() == 2 && left.contains(&ids[0]) && left.contains(&ids[2]), "{left:?}");
    }
}
