//! Topics and partitions of one cluster: what the controller decides is written, and what comes of it handed back.

mod answers;
mod close_look;
mod inquiries;
mod obituary;
mod objects;
mod pulse;
mod restore;
mod roster;
mod statuses;
mod wishes;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use kube::runtime::events::EventType;
use milena_controller::lease::Instant;
use milena_controller::{Answer, Brokers, ChunkWrite, Note, Plan};
use milena_crds::restore::Declared;
use milena_crds::{KafkaCluster, KafkaTopic, names};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::cluster::{Summary, is_paused};
use crate::context::Context;
use crate::error::Error;
use crate::world::{Handle, State};

pub use objects::{Objects, Versions};
pub use roster::Roster;

use inquiries::{Inquiries, Wanted};
use pulse::{Gone, Pulses};
use statuses::Statuses;

/// Objects written at once.
const AT_ONCE: usize = 4;
/// Wait after a write that somebody else's came before.
const MOMENT: Duration = Duration::from_millis(20);
/// Wait after a write that failed.
const RETRY: Duration = Duration::from_millis(250);
/// Wait in a namespace that is being deleted, at first and at most: each object that goes there asks for it to be put back,
/// and nothing can be made any more.
const GOING: (Duration, Duration) = (RETRY, Duration::from_secs(4));
/// Shortest wait for a time to come.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Longest wait for something to happen: deadlines are looked at again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// News of replicas out of sync are told no more often than this.
const MINOR_NEWS: Duration = Duration::from_secs(1);
/// Brokers that are gone, and Events that are to be told, in line.
const LINE: usize = 1024;

/// Looks after one cluster's topics and partitions for as long as the operator runs.
pub async fn run(handle: Arc<Handle>, context: Context, clock: Clock) {
    let (tell_gone, mut gone) = mpsc::channel(LINE);
    let (tell, notes) = mpsc::channel(LINE);
    let statuses = Arc::new(Statuses::default());
    // Both end with this task.
    let mut others = JoinSet::new();
    others.spawn(Arc::clone(&statuses).run(Arc::clone(&handle), context.clone()));
    others.spawn(teller(context.clone(), notes));
    let mut task = Task {
        handle,
        context,
        clock,
        statuses,
        tell,
        pulses: Pulses::new(tell_gone),
        inquiries: Inquiries::default(),
        buried: BTreeSet::new(),
        shown: Brokers::new(),
        told: Summary::default(),
        told_at: Instant::ZERO,
        hasty: None,
        going: GOING.0,
    };
    loop {
        if task.context.may_write().is_err() {
            task.stand_by();
        }
        if !task.context.working().await || task.handle.is_closed() {
            let (namespace, name) = &task.handle.name;
            task.context.metrics.show_partitions(namespace, name, None);
            return;
        }
        if !task.bury().await {
            sleep(RETRY).await;
            continue;
        }
        let calm = task.round().await;
        task.pulses.hold(&task.handle.state().roster.processes());
        task.inquire();
        if calm {
            task.wait(&mut gone).await;
        }
    }
}

struct Task {
    handle: Arc<Handle>,
    context: Context,
    clock: Clock,
    statuses: Arc<Statuses>,
    tell: mpsc::Sender<(ObjectReference, Note)>,
    pulses: Pulses,
    inquiries: Inquiries,
    /// Brokers, with their epochs, whose expired Leases were looked at closely.
    buried: BTreeSet<Gone>,
    /// The brokers as the controller knows them.
    shown: Brokers,
    /// What the task that looks after the cluster's objects was last woken for, and when.
    told: Summary,
    told_at: Instant,
    /// When it is to be told of what came too soon after that.
    hasty: Option<Instant>,
    /// The next wait in a namespace that is being deleted.
    going: Duration,
}

impl Task {
    /// Another replica works, and says how the cluster stands.
    fn stand_by(&mut self) {
        let (namespace, name) = &self.handle.name;
        self.context.metrics.show_partitions(namespace, name, None);
        self.handle.state().planned = false;
    }

    /// Asks brokers what elections depend on (rules 8 and 13).
    fn inquire(&self) {
        let (processes, wanted) = {
            let state = self.handle.state();
            let mut wanted: BTreeMap<i32, Wanted> = BTreeMap::new();
            for (broker, logs) in state.controller.wanted_reports() {
                wanted.entry(broker).or_default().logs = logs;
            }
            for (broker, states) in state.controller.wanted_recollections() {
                wanted.entry(broker).or_default().states = states;
            }
            (state.roster.processes(), wanted)
        };
        self.inquiries.ask(&self.handle, &processes, wanted);
    }

    /// Plans, writes, and hands back. `false`: there is more to do at once.
    async fn round(&mut self) -> bool {
        let Some((cluster, plan, versions)) = self.plan() else { return true };
        let calm = plan.chunks.is_empty() && plan.answers.is_empty();
        self.count(&plan);
        self.announce(cluster.as_deref(), &plan);
        self.statuses.put(plan.topics);
        if !plan.wishes.is_empty() {
            let (context, handle) = (self.context.clone(), Arc::clone(&self.handle));
            tokio::spawn(wishes::take_away(context, handle, plan.wishes));
        }
        let Some(cluster) = cluster else { return true };
        let (context, handle) = (&self.context, &self.handle);
        let mut wait = self.take_out_annotations(plan.answers).await;
        if let Some(declared) = plan.restored
            && let Err(error) = restore::is_over(context, handle, &cluster, declared).await
        {
            wait = RETRY;
            if !error.is_harmless() {
                let (namespace, name) = &handle.name;
                tracing::warn!(namespace, name, %error, "the annotation {} stays for now", names::RESTORED);
            }
            // It is looked at again after the wait.
            handle.wake_partitions.notify_one();
        }
        let writes = plan.chunks.into_iter().zip(versions);
        let writes = writes.map(|(write, version)| carry_out(context, handle, &cluster, write, version));
        let writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect();
        let (results, told): (Vec<Result<(), Error>>, bool) = futures::join!(writes, self.tell_of_the_dead());
        let mut errors = results.into_iter().filter_map(Result::err).peekable();
        context.metrics.reconciled("partitions", errors.peek().is_none());
        for error in errors {
            match error {
                // Until the namespace is gone there is nothing to do.
                Error::Terminating => {
                    sleep(self.going).await;
                    self.going = GOING.1.min(self.going * 2);
                    return true;
                }
                // What is there now has been handed in.
                error if error.is_harmless() => wait = wait.max(MOMENT),
                error => {
                    wait = RETRY;
                    let (namespace, name) = &handle.name;
                    tracing::warn!(namespace, name, %error, "partition state could not be written; trying again");
                }
            }
        }
        if !told {
            wait = wait.max(RETRY);
        }
        if !calm {
            self.going = GOING.0;
        }
        sleep(wait).await;
        calm && told
    }

    /// Takes requests out that are carried out; answers how long to wait after what failed.
    async fn take_out_annotations(&self, answers: Vec<Answer>) -> Duration {
        let mut wait = Duration::ZERO;
        for answer in answers {
            let topic = answer.topic.clone();
            if let Err(error) = answers::carry_out(&self.context, &self.handle, answer).await {
                wait = RETRY;
                if !error.is_harmless() {
                    tracing::warn!(topic, %error, "an annotation that is carried out cannot be taken out; trying again");
                }
            }
        }
        wait
    }

    /// What to write now, for which KafkaCluster, and over which versions. `None`: the cluster is to be left alone.
    fn plan(&mut self) -> Option<(Option<Arc<KafkaCluster>>, Plan, Versions)> {
        let now = self.clock.now();
        let handle = Arc::clone(&self.handle);
        let mut guard = handle.state();
        let state = &mut *guard;
        let leave =
            |cluster: &Arc<KafkaCluster>| cluster.metadata.deletion_timestamp.is_some() || is_paused(cluster);
        if state.cluster.as_ref().is_some_and(leave) {
            return None;
        }
        let brokers = state.roster.brokers(now);
        for id in self.shown.keys().filter(|id| !brokers.contains_key(id)) {
            state.controller.apply_broker(*id, None);
        }
        for (id, broker) in &brokers {
            state.controller.apply_broker(*id, Some(broker.clone()));
        }
        self.shown = brokers;
        let (plan, versions) = state.plan(seconds());
        let (summary, first) = (summarize(state), !std::mem::replace(&mut state.planned, true));
        self.show(summary, first, now);
        Some((state.cluster.clone(), plan, versions))
    }

    /// Wakes who writes the cluster's status, if there is news. While replicas fall behind and catch up there is news
    /// with each partition: that is told once a second.
    fn show(&mut self, summary: Summary, first: bool, now: Instant) {
        if !first && self.told == summary {
            self.hasty = None;
            return;
        }
        let under_replicated = summary.under_replicated;
        let minor = Summary { under_replicated, ..self.told.clone() } == summary;
        let due = self.told_at + MINOR_NEWS;
        if minor && !first && now < due {
            self.hasty = Some(due);
            return;
        }
        let (namespace, name) = &self.handle.name;
        let counts = [summary.partitions, summary.offline, under_replicated];
        self.context.metrics.show_partitions(namespace, name, Some(counts));
        self.context.metrics.show_held(namespace, name, summary.held);
        (self.told, self.told_at, self.hasty) = (summary, now, None);
        self.handle.wake_objects.notify_one();
    }

    fn count(&self, plan: &Plan) {
        for note in &plan.notes {
            self.context.metrics.noted(note.reason);
        }
        self.context.metrics.unclean_leader_elections.inc_by(plan.unclean_elections);
        for (reason, partitions) in &plan.elections {
            self.context.metrics.elected(reason, *partitions);
        }
    }

    /// Puts notes in line to be told; what does not fit is only logged.
    fn announce(&self, cluster: Option<&KafkaCluster>, plan: &Plan) {
        let (namespace, name) = &self.handle.name;
        for note in &plan.notes {
            let topic = note.topic.as_deref().unwrap_or_default();
            tracing::info!(namespace, name, topic, reason = note.reason, "{}", note.message);
            let about = match &note.topic {
                Some(topic) => {
                    let write = plan.topics.iter().find(|write| write.name == *topic);
                    Some(topic_reference(namespace, topic, write.and_then(|write| write.uid.clone())))
                }
                None => cluster.map(|cluster| cluster.object_ref(&())),
            };
            if let Some(about) = about {
                let _ = self.tell.try_send((about, note.clone()));
            }
        }
    }

    /// Waits until something changes, a broker is gone, or a time is up. Renewals of Leases only put off the next look
    /// at who has expired.
    async fn wait(&mut self, gone: &mut mpsc::Receiver<Gone>) {
        loop {
            let (wait, deadline) = self.until_next_look();
            tokio::select! {
                () = self.handle.wake_partitions.notified() => return,
                () = self.context.deposed() => return,
                Some((broker, epoch)) = gone.recv() => {
                    let (namespace, name) = &self.handle.name;
                    tracing::info!(namespace, name, broker, epoch, "the process of a broker is gone: its connection was refused");
                    self.handle.state().roster.gone(broker, epoch, self.clock.now());
                    return;
                }
                () = sleep(wait) => {
                    let brokers = self.handle.state().roster.brokers(self.clock.now());
                    if deadline || brokers != self.shown {
                        return;
                    }
                }
            }
        }
    }

    /// How long nothing can happen by itself; whether it is then time for a plan in any case.
    fn until_next_look(&self) -> (Duration, bool) {
        let now = self.clock.now();
        let state = self.handle.state();
        let expiry = state.roster.next_expiry(now).map_or(LONGEST_WAIT, |expiry| expiry.saturating_sub(now));
        let deadline = state.controller.next_deadline().map(|deadline| {
            Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default()
        });
        let hasty = self.hasty.map(|due| due.saturating_sub(now));
        let deadline = deadline.into_iter().chain(hasty).min();
        let wait = expiry.min(deadline.unwrap_or(LONGEST_WAIT)).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        (wait, deadline.is_some_and(|deadline| deadline <= wait))
    }
}

/// Writes one object, and hands in what is there then.
async fn carry_out(
    context: &Context,
    handle: &Handle,
    cluster: &KafkaCluster,
    write: ChunkWrite,
    version: Option<String>,
) -> Result<(), Error> {
    let result = objects::write(context, cluster, version, &write).await;
    match result {
        Ok(object) => {
            handle.state().apply_chunk(object);
            Ok(())
        }
        Err(error) => {
            // Whether or not the write was done: what is there now is what the next one begins from.
            match objects::read(context, cluster, write.chunk).await {
                Ok(Some(object)) => handle.state().apply_chunk(object),
                Ok(None) => {
                    let name = names::partitions_object(&handle.name.1, write.chunk);
                    handle.state().remove_chunk(&handle.name.1, &name, None);
                }
                Err(_) => sleep(RETRY).await,
            }
            handle.state().controller.chunk_failed(&write);
            Err(error)
        }
    }
}

/// What the cluster's status tells of topics, partitions and brokers.
pub fn summarize(state: &State) -> Summary {
    let summary = state.controller.summary();
    let size = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let brokers = state.cluster.as_ref().map_or(0, |cluster| cluster.spec.brokers);
    Summary {
        topics: size(summary.topics),
        partitions: size(summary.partitions),
        offline: size(summary.offline),
        under_replicated: size(summary.under_replicated),
        missing: summary.missing,
        brokers_in_use: summary.brokers_in_use,
        troubled: state.roster.troubled().iter().map(|(id, offline)| (*id, offline.count())).collect(),
        held: size(summary.held),
        awaited: summary.awaited,
        declared: state
            .cluster
            .as_deref()
            .and_then(|cluster| Declared::of(cluster.metadata.annotations.as_ref()))
            .is_some(),
        moving: size(summary.moving),
        to_move: size(summary.to_move),
        stuck: summary.stuck,
        version: state.roster.version(brokers),
    }
}

/// Tells people what happened, one after the other.
async fn teller(context: Context, mut notes: mpsc::Receiver<(ObjectReference, Note)>) {
    while let Some((about, note)) = notes.recv().await {
        let type_ = if note.warning { EventType::Warning } else { EventType::Normal };
        context.tell(&about, type_, note.reason, "Plan", note.message).await;
    }
}

fn topic_reference(namespace: &str, name: &str, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(KafkaTopic::api_version(&()).into_owned()),
        kind: Some(KafkaTopic::kind(&()).into_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    }
}

/// The time by the clock on the wall, to the second, as the API server keeps times.
fn seconds() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
