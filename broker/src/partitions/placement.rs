//! Which log directory a partition's log is in, or is to be made in.

use std::sync::Arc;

use milena_crds::partition::PartitionState;
use milena_storage::{LogDir, LogDirs, TopicPartition};

use tracing::{error, info};

use super::{Hosted, garbage::remove_directory_later};

/// Directories whose logs differ by less count as equally full: then the number of partitions decides.
const UNIT: u64 = 64 << 20;

/// The directories in service, and what is in them.
pub struct Placement<'a> {
    dirs: &'a LogDirs,
    choices: Vec<Choice>,
}

struct Choice {
    dir: Arc<LogDir>,
    bytes: u64,
    partitions: usize,
}

impl<'a> Placement<'a> {
    /// Counts what is hosted; with one directory there is nothing to choose and nothing is counted.
    pub fn new(dirs: &'a LogDirs, hosted: &Hosted) -> Placement<'a> {
        let new = |dir: &Arc<LogDir>| Choice { dir: dir.clone(), bytes: 0, partitions: 0 };
        let mut choices: Vec<Choice> = dirs.in_service().map(new).collect();
        if choices.len() > 1 {
            for replica in hosted.replicas() {
                let place = choices.iter_mut().find(|choice| replica.lies_in(&choice.dir));
                if let Some(choice) = place {
                    let bytes = u64::try_from(replica.size_in_bytes()).unwrap_or(0);
                    choice.bytes = choice.bytes.saturating_add(bytes);
                    choice.partitions += 1;
                }
            }
        }
        Placement { dirs, choices }
    }

    /// The directory of a partition: the one that has its log, else the emptiest.
    ///
    /// # Errors
    /// Why it can be opened in none: it is in several, or its log is in a directory that is missing.
    pub fn place(
        &mut self,
        tp: &TopicPartition,
        me: i32,
        state: &PartitionState,
    ) -> Result<Arc<LogDir>, String> {
        if let ([only], false) = (self.choices.as_slice(), self.dirs.misses_some()) {
            return Ok(only.dir.clone());
        }
        match self.dirs.holding(tp).as_slice() {
            [] if self.dirs.misses_some() && promises(me, state) => {
                Err("its log is in a log directory that is not there: bring the directory back, or delete the topic"
                    .to_owned())
            }
            [] => self.emptiest().ok_or_else(|| "no log directory is in service".to_owned()),
            [one] => Ok((*one).clone()),
            several => {
                if let Some(moved) = finish_move(several, tp) {
                    return Ok(moved);
                }
                let paths: Vec<String> =
                    several.iter().map(|dir| dir.partition_path(tp).display().to_string()).collect();
                Err(format!("it is in several log directories: {}; remove all but one", paths.join(", ")))
            }
        }
    }

    /// The one with the fewest bytes, then the fewest partitions; those that are full come last.
    fn emptiest(&mut self) -> Option<Arc<LogDir>> {
        let fullness = |choice: &&mut Choice| (choice.dir.is_full(), choice.bytes / UNIT, choice.partitions);
        let choice = self.choices.iter_mut().min_by_key(fullness)?;
        choice.partitions += 1;
        Some(choice.dir.clone())
    }
}

/// Of a partition in two directories because a move between them was cut short: the one that it was moved to.
fn finish_move(holding: &[&Arc<LogDir>], tp: &TopicPartition) -> Option<Arc<LogDir>> {
    let moved = holding.iter().find_map(|to| {
        let from = to.moved_from(tp).ok()??;
        let from = holding.iter().find(|dir| dir.directory_id() == from && !Arc::ptr_eq(dir, to))?;
        Some((*to, *from))
    });
    let ([_, _], Some((to, from))) = (holding, moved) else { return None };
    match to.finish_move(tp, from) {
        Ok(rest) => {
            info!(partition = %tp, to = %to.path().display(), "a move that was cut short is finished");
            remove_directory_later(rest);
            Some(to.clone())
        }
        Err(error) => {
            error!(partition = %tp, %error, "a move that was cut short cannot be finished");
            None
        }
    }
}

/// Whether the state says that this broker has records: it is in sync or eligible, and not for being new. Directories of
/// a broker share its generation, so the entry alone does not tell that the log is gone. Who has left ISR and ELR makes
/// its log anew, as a follower.
fn promises(me: i32, state: &PartitionState) -> bool {
    state.partition_epoch > 0 && (state.in_isr(me).is_some() || state.in_elr(me).is_some())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use milena_storage::{LogConfig, Owner, ids};

    use super::*;

    const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 1 };

    fn state(text: &str) -> PartitionState {
        text.parse().unwrap()
    }

    fn paths(folder: &tempfile::TempDir) -> Vec<PathBuf> {
        ["a", "b", "c"].iter().map(|name| folder.path().join(name)).collect()
    }

    fn log(dir: &LogDir, tp: &TopicPartition) {
        dir.create_log(tp, ids::random(), Arc::new(LogConfig::default()), 0).unwrap();
    }

    #[test]
    fn new_partitions_are_spread_and_known_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = LogDirs::open(&paths(&folder), OWNER).unwrap();
        let known = TopicPartition::new("known", 0);
        log(&dirs.opened()[1], &known);
        let mut placement = Placement::new(&dirs, &Hosted::default());
        let new = state("replicas=1 leader=1 leaderEpoch=0 partitionEpoch=0 isr=1.00000001-0 elr=");
        for index in 0..6 {
            assert_eq!(placement.place(&known, 1, &new).unwrap().path(), dirs.opened()[1].path());
            placement.place(&TopicPartition::new("new", index), 1, &new).unwrap();
        }
        assert!(placement.choices.iter().all(|choice| choice.partitions == 2));
    }

    #[test]
    fn a_partition_in_two_directories_is_served_from_none() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = LogDirs::open(&paths(&folder), OWNER).unwrap();
        let tp = TopicPartition::new("twice", 0);
        dirs.opened()[..2].iter().for_each(|dir| log(dir, &tp));
        let new = state("replicas=1 leader=1 leaderEpoch=0 partitionEpoch=0 isr=1.00000001-0 elr=");
        let refused = Placement::new(&dirs, &Hosted::default()).place(&tp, 1, &new).unwrap_err();
        assert!(refused.contains("a/twice-0") && refused.contains("b/twice-0"), "{refused}");
    }

    #[test]
    fn a_log_in_a_directory_that_is_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        drop(LogDirs::open(&paths(&folder), OWNER).unwrap());
        std::fs::remove_dir_all(folder.path().join("b")).unwrap();
        let dirs = LogDirs::open(&paths(&folder), OWNER).unwrap();
        assert!(dirs.misses_some(), "an empty directory is in the place of a lost one");
        let tp = TopicPartition::new("sample", 0);
        let mut placement = Placement::new(&dirs, &Hosted::default());
        for (text, is_refused) in [
            ("replicas=1 leader=1 leaderEpoch=0 partitionEpoch=0 isr=1.00000001-0 elr=", false),
            ("replicas=1 leader=1 leaderEpoch=1 partitionEpoch=1 isr=1.00000001-0 elr=", true),
            ("replicas=1,2 leader=2 leaderEpoch=1 partitionEpoch=1 isr=2.00000002-0 elr=1.00000001-0", true),
            ("replicas=1,2 leader=2 leaderEpoch=1 partitionEpoch=1 isr=2.00000002-0 elr=", false),
        ] {
            assert_eq!(placement.place(&tp, 1, &state(text)).is_err(), is_refused, "{text}");
        }
    }
}
