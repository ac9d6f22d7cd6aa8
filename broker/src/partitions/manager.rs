//! Keeps this broker's replicas in line with the picture of the cluster: opens, leads, closes, deletes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use imbl::ordmap::DiffItem;
use milena_crds::partition::{Generation, Member, PartitionKey};
use milena_replication::Source;
use milena_storage::{LogDir, LogDirs, PartitionDir, TailBudget, TopicPartition};
use tokio::{
    sync::{Notify, watch},
    task::block_in_place,
};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    Hosted, HostedTopic, Partition,
    garbage::remove_directory_later,
    housekeeping::Housekeeping,
    leftovers,
    open::{Opener, Opening},
    placement::Placement,
    removals,
};
use crate::{
    cluster::{ClusterImage, Topic},
    config::{BrokerConfig, TopicConfig},
    node::{Broker, View},
};

/// Leaders begin to lead by so many threads at a time.
const THREADS: usize = 8;
/// Fewer topics than this are not worth a thread.
const FEW_TOPICS: usize = 16;
/// How often logs that failed to open are tried again, and housekeeping is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many ticks lie between two tries to open a log that failed.
const RETRY_TICKS: u32 = 30;

/// The one owner of a broker's data directories.
pub struct Manager {
    dirs: Arc<LogDirs>,
    me: Member,
    images: watch::Receiver<Arc<ClusterImage>>,
    /// Replicas of topics that no client sees: their object is missing, their deletion is not recorded (rule 12).
    hidden: HashMap<Uuid, Arc<HostedTopic>>,
    housekeeping: Housekeeping,
    /// What logs keep in memory for readers at their ends.
    tails: Arc<TailBudget>,
    /// A log directory went out of service.
    failure: Arc<Notify>,
    /// How many of those that were opened are out of service, as far as that was acted on.
    failures: usize,
    /// What the control plane was told that this broker cannot serve.
    told: BTreeSet<PartitionKey>,
    /// Whether logs that no topic has were looked for.
    sorted_out: bool,
    /// Copies that the last life did not finish, with the directory that they lie in.
    interrupted: Vec<(Arc<LogDir>, PartitionDir)>,
}

impl Manager {
    /// A manager of the replicas in `dirs`.
    pub fn new(broker: i32, dirs: Arc<LogDirs>, images: watch::Receiver<Arc<ClusterImage>>) -> Manager {
        let me = Member { broker, generation: generation(&dirs) };
        let failure = Arc::new(Notify::new());
        for dir in dirs.opened() {
            let notify = failure.clone();
            dir.on_failure(move || notify.notify_one());
        }
        let interrupted = interrupted_moves(&dirs);
        Manager {
            dirs,
            me,
            images,
            hidden: HashMap::new(),
            housekeeping: Housekeeping::default(),
            tails: TailBudget::new(0),
            failure,
            failures: 0,
            told: BTreeSet::new(),
            sorted_out: false,
            interrupted,
        }
    }

    /// Follows the picture of the cluster until the stop, then closes all logs in order.
    pub async fn run(mut self, broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
        let mut ticks: u32 = 0;
        let mut tick = tokio::time::interval(TICK);
        let mut config = broker.config();
        self.tails.set_limit(config.fetch_tail_bytes);
        self.dirs.opened().iter().for_each(|dir| dir.look_for_room(config.log_dir_reserved));
        show_out_of_service(&self.dirs, &broker);
        self.follow(&broker, true);
        for dir in self.dirs.in_service() {
            if let Err(error) = dir.mark_recovered() {
                error!(%error, "the next start will look all logs over again");
            }
        }
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                changed = self.images.changed() => match changed {
                    Ok(()) => self.follow(&broker, false),
                    Err(_) => break,
                },
                () = self.failure.notified() => self.take_offline(&broker),
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    let newer = broker.config();
                    let reconfigured = !Arc::ptr_eq(&newer, &config);
                    config = newer;
                    self.tails.set_limit(config.fetch_tail_bytes);
                    if reconfigured || (ticks.is_multiple_of(RETRY_TICKS) && broker.view().hosted.failed() > 0) {
                        self.follow(&broker, true);
                    }
                    let held = i64::try_from(self.tails.used()).unwrap_or(i64::MAX);
                    broker.metrics.fetch_tail_bytes.set(held);
                    block_in_place(|| self.housekeeping.look(&self.dirs, &broker, TICK));
                }
            }
        }
        block_in_place(|| self.close(&broker));
    }

    /// Acts on the newest picture, then shows it. `all`: topics that did not change are looked at, too.
    fn follow(&mut self, broker: &Arc<Broker>, all: bool) {
        let image = self.images.borrow_and_update().clone();
        self.hide_what_is_gone(broker, &image);
        let view = broker.view();
        let (hosted, moved) = block_in_place(|| self.act(broker, &view, &image, all));
        broker.set_view(View { image, hosted });
        block_in_place(|| moved.iter().for_each(|replica| self.delete(replica)));
        // Fetches that watch what is gone find out by the new picture.
        moved.iter().for_each(|replica| replica.look_again());
        broker.metrics.show_replicas(broker.id, &broker.view().hosted);
        let older = broker.view().image.older;
        broker.metrics.older_states.set(i64::try_from(older).unwrap_or(i64::MAX));
        self.sort_out_leftovers(broker);
        self.tell_what_cannot_be_served(broker);
    }

    /// Topics that are gone are so for every request before their logs are closed: who waits there is told of a topic
    /// that there is not, rather than of a leader elsewhere.
    fn hide_what_is_gone(&mut self, broker: &Broker, image: &ClusterImage) {
        let view = broker.view();
        let (_, gone) = differences(&view, image);
        if gone.is_empty() {
            return;
        }
        let (mut image, mut hosted) = (view.image.as_ref().clone(), view.hosted.clone());
        let mut topics = Vec::new();
        for id in gone {
            image.remove_topic(id);
            if let Some(topic) = hosted.remove(id) {
                topics.push(topic.clone());
                self.hidden.insert(id, topic);
            }
        }
        broker.set_view(View { image: Arc::new(image), hosted });
        topics.iter().flat_map(|topic| topic.open.values()).for_each(|replica| replica.look_again());
    }

    /// Others may lead it.
    fn tell_what_cannot_be_served(&mut self, broker: &Broker) {
        let unserved: BTreeSet<PartitionKey> = broker.view().hosted.unserved().collect();
        if unserved != self.told {
            self.told.clone_from(&unserved);
            broker.coordination.cannot_serve(broker.id, unserved);
        }
    }

    /// What lies in a log directory that is out of service is served no more.
    fn take_offline(&mut self, broker: &Arc<Broker>) {
        let failed: Vec<Arc<LogDir>> =
            self.dirs.opened().iter().filter(|dir| dir.failure().is_some()).cloned().collect();
        if failed.len() == self.failures {
            return;
        }
        self.failures = failed.len();
        let view = broker.view();
        let mut hosted = view.hosted.clone();
        let mut gone = Vec::new();
        for dir in &failed {
            self.dirs.note_failure(dir);
            let why = dir.failure().unwrap_or_default();
            let reason =
                Arc::from(format!("log directory {} is out of service: {why}", dir.path().display()));
            let lost = hosted.take_offline(&reason, |replica| replica.lies_in(dir));
            if !lost.is_empty() {
                error!(directory = %dir.path().display(), partitions = lost.len(), "partitions are offline");
            }
            gone.extend(lost);
        }
        block_in_place(|| gone.iter().for_each(|replica| drop(replica.take_log())));
        broker.set_view(View { image: view.image.clone(), hosted });
        gone.iter().for_each(|replica| replica.look_again());
        broker.metrics.show_replicas(broker.id, &broker.view().hosted);
        show_out_of_service(&self.dirs, broker);
        self.tell_what_cannot_be_served(broker);
        if self.dirs.in_service().next().is_none() {
            let reasons = self.dirs.out_of_service().map(|(path, why)| format!("{}: {why}", path.display()));
            broker.fail(format!("no log directory is left: {}", reasons.collect::<Vec<_>>().join("; ")));
        }
    }

    /// Once, with the first picture that is not from memory.
    fn sort_out_leftovers(&mut self, broker: &Arc<Broker>) {
        let view = broker.view();
        if self.sorted_out || view.image.from_memory {
            return;
        }
        match block_in_place(|| leftovers::sort_out(&self.dirs, self.me.broker, &view.image, &view.hosted)) {
            Ok(found) => {
                broker.metrics.unknown_logs.set(i64::try_from(found.unknown).unwrap_or(i64::MAX));
                self.sorted_out = true;
                self.resume_moves(broker);
            }
            Err(error) => {
                warn!(%error, "logs of deleted topics cannot be looked for; tried again at the next change")
            }
        }
    }

    /// Goes on with moves between directories that the last stop interrupted; copies of what is not here any more go.
    fn resume_moves(&mut self, broker: &Arc<Broker>) {
        let view = broker.view();
        for (to, copy) in std::mem::take(&mut self.interrupted) {
            let index = copy.topic_partition.partition();
            let replica = copy.topic_id.and_then(|id| view.hosted.partition(id, index));
            let from = replica.and_then(|replica| self.dirs.in_service().find(|dir| replica.lies_in(dir)));
            match (replica, from) {
                (Some(replica), Some(from)) if !Arc::ptr_eq(from, &to) => {
                    broker.moves.resume(replica, from.clone(), to, copy);
                }
                _ => remove_directory_later(copy.path),
            }
        }
    }

    /// What is hosted from now on, and what other brokers have now.
    fn act(
        &mut self,
        broker: &Arc<Broker>,
        view: &View,
        image: &Arc<ClusterImage>,
        all: bool,
    ) -> (Hosted, Vec<Arc<Partition>>) {
        let mut hosted = view.hosted.clone();
        let mut moved = Vec::new();
        let changed = match all {
            true => image.topics.values().cloned().collect(),
            false => differences(view, image).0,
        };
        self.drop_deleted(broker, image);
        for topic in changed.iter().filter(|_| !image.from_memory) {
            moved.extend(removals::take_out(&mut hosted, topic, self.me.broker));
        }
        moved.iter().for_each(|replica| broker.replication.assign(broker, replica));
        let config = broker.config();
        let mut openings = Vec::new();
        for topic in &changed {
            openings.extend(self.bring_in_line(&mut hosted, topic, &config));
        }
        self.place(&mut openings, &hosted);
        Opener { me: self.me, tails: &self.tails }.open(&mut hosted, openings);
        side_by_side(&changed, |topic| lead(&hosted, topic, image.from_memory));
        for topic in changed.iter().filter_map(|topic| hosted.topic(topic.id)) {
            topic.open.values().for_each(|replica| broker.replication.assign(broker, replica));
        }
        (hosted, moved)
    }

    /// Deletes the data of hidden topics whose deletion is recorded.
    fn drop_deleted(&mut self, broker: &Arc<Broker>, image: &ClusterImage) {
        let deleted: Vec<Uuid> =
            self.hidden.keys().copied().filter(|id| image.deleted.contains(id)).collect();
        for id in deleted {
            for replica in self.hidden.remove(&id).iter().flat_map(|topic| topic.open.values()) {
                self.delete(replica);
                broker.replication.assign(broker, replica);
            }
        }
    }

    fn delete(&mut self, replica: &Partition) {
        if let Some(mut log) = replica.take_log() {
            log.delete();
        }
        self.housekeeping.replica_is_gone();
        let tp = TopicPartition::new(replica.topic.clone(), replica.index);
        let Some(dir) = self.dirs.in_service().find(|dir| replica.lies_in(dir)) else { return };
        match dir.delete_partition(&tp) {
            Ok(path) => {
                info!(partition = %tp, topic_id = %replica.topic_id, "deleted");
                remove_directory_later(path);
            }
            Err(error) => error!(partition = %tp, %error, "cannot be deleted; the next start tries again"),
        }
    }

    /// Puts settings in force, and answers what has to be opened.
    fn bring_in_line(
        &mut self,
        hosted: &mut Hosted,
        topic: &Arc<Topic>,
        config: &BrokerConfig,
    ) -> Vec<Opening> {
        let config = Arc::new(TopicConfig::resolve(config, &topic.config));
        if let Some(back) = self.hidden.remove(&topic.id) {
            hosted.put(topic.id, back);
        }
        let open = hosted.topic(topic.id).cloned().unwrap_or_default();
        for replica in open.open.values().filter(|replica| *replica.config() != *config) {
            replica.set_config(config.clone());
        }
        let is_mine = |index: &i32| {
            topic.partition(*index).is_some_and(|state| state.replicas.contains(&self.me.broker))
        };
        (0..topic.partition_count())
            .filter(is_mine)
            .filter(|index| !open.open.contains_key(index) && !open.offline.contains_key(index))
            .map(|index| Opening { topic: topic.clone(), index, config: config.clone(), dir: None })
            .collect()
    }

    /// Finds the directory of each.
    fn place(&self, openings: &mut [Opening], hosted: &Hosted) {
        if openings.is_empty() {
            return;
        }
        let mut placement = Placement::new(&self.dirs, hosted);
        for opening in openings {
            let Some(state) = opening.topic.partition(opening.index) else { continue };
            let tp = TopicPartition::new(opening.topic.name.clone(), opening.index);
            match placement.place(&tp, self.me.broker, state) {
                Ok(dir) => opening.dir = Some(dir),
                Err(reason) => error!(partition = %tp, "not served: {reason}"),
            }
        }
    }

    /// Closes all logs and says that it was done in order, where it was.
    fn close(&mut self, broker: &Arc<Broker>) {
        broker.moves.stop();
        let view = broker.view();
        let all: Vec<Arc<Partition>> = view
            .hosted
            .replicas()
            .chain(self.hidden.values().flat_map(|topic| topic.open.values()))
            .cloned()
            .collect();
        let is_remembered = broker.coordination.is_remembered();
        if !is_remembered {
            error!(
                "not stopped in order: the last known state of this broker's partitions is not on the disk"
            );
        }
        for dir in self.dirs.in_service() {
            let closed = self.housekeeping.close(dir, &all).and_then(|()| match is_remembered {
                true => dir.mark_clean_shutdown(broker.epoch()),
                false => Ok(()),
            });
            if let Err(error) = closed {
                error!(directory = %dir.path().display(), %error, "not stopped in order: the next start looks its logs over");
            }
        }
    }
}

/// Copies in these directories that a former life did not finish.
fn interrupted_moves(dirs: &LogDirs) -> Vec<(Arc<LogDir>, PartitionDir)> {
    let mut interrupted = Vec::new();
    for dir in dirs.in_service() {
        match dir.futures() {
            Ok(futures) => interrupted.extend(futures.into_iter().map(|copy| (dir.clone(), copy))),
            Err(error) => error!(%error, "moves to this directory that were interrupted do not go on"),
        }
    }
    interrupted
}

/// How many log directories are out of service, for all to see.
fn show_out_of_service(dirs: &LogDirs, broker: &Broker) {
    let count = i64::try_from(dirs.out_of_service().count()).unwrap_or(i64::MAX);
    broker.metrics.offline_log_directories.set(count);
}

/// The generation of a broker's data directories, as partition states have it.
pub fn generation(dirs: &LogDirs) -> Generation {
    let Some(generation) = dirs.generation() else { return Generation::default() };
    Generation { disk: generation.disk_id.as_fields().0, unclean_starts: generation.unclean_starts }
}

/// Topics that are new or differ, and the ids of those that are gone. Pictures share what did not change, so
/// this costs as much as there are differences.
fn differences(view: &View, image: &ClusterImage) -> (Vec<Arc<Topic>>, Vec<Uuid>) {
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for item in view.image.topics.diff(&image.topics) {
        match item {
            DiffItem::Add(_, topic) | DiffItem::Update { new: (_, topic), .. } => changed.push(topic.clone()),
            DiffItem::Remove(..) => {}
        }
        match item {
            DiffItem::Remove(_, old) | DiffItem::Update { old: (_, old), .. }
                if image.topic_by_id(old.id).is_none() =>
            {
                gone.push(old.id);
            }
            _ => {}
        }
    }
    (changed, gone)
}

/// Does the same to each topic, by several threads where they are many: who begins to lead writes that to each log.
fn side_by_side(topics: &[Arc<Topic>], work: impl Fn(&Topic) + Sync) {
    let share = topics.len().div_ceil(THREADS);
    if share < FEW_TOPICS {
        topics.iter().for_each(|topic| work(topic));
        return;
    }
    let work = &work;
    std::thread::scope(|scope| {
        for topics in topics.chunks(share) {
            scope.spawn(move || topics.iter().for_each(|topic| work(topic)));
        }
    });
}

fn lead(hosted: &Hosted, topic: &Topic, from_memory: bool) {
    let Some(open) = hosted.topic(topic.id) else { return };
    let source = if from_memory { Source::Memory } else { Source::Store };
    for (index, replica) in &open.open {
        match topic.partition(*index) {
            Some(state) => replica.act_on(state, source),
            // What the control plane shows is older than what this broker has acted on (rule 13).
            None => replica.suspend(),
        }
    }
}
