//! The leader's side of an exchange: one follower, all partitions that it follows from here.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use milena_crds::partition::Member;
use milena_protocol::{Records, ResponseFrame};
use milena_replication::{Answer, FollowerFetch, Refusal};
use milena_storage::StorageError;
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::sleep,
};
use tracing::{debug, info};
use uuid::Uuid;

use super::{
    frame::{self, Frames},
    suspicion,
    wire::{self, Ask, Hello, MAX_SLOTS, Told, WireError},
};
use crate::{
    node::Broker,
    partitions::{FollowerSlot, Partition, Signal},
    server::{self, Turn},
    throttle::{Throttle, Throttles},
};

/// An exchange with nothing to say says so this often, and high watermarks with it.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// A broker that stops serves its followers for so long yet.
const LAST_RECORDS: Duration = Duration::from_millis(300);
/// Answers of one partition that are on their way at a time: while the follower writes one, the next one comes.
const ON_THEIR_WAY: usize = 4;
/// Fewer bytes than this wait for the follower to have what is on its way: it gets all that has gathered then.
const AHEAD: usize = 256 * 1024;
/// Longest frame that a follower sends.
const MAX_ASKS: usize = 1024 * 1024;
/// The buffer of a longer one is not kept.
const USUAL_ASKS: usize = 64 * 1024;

/// One follower's exchange.
pub struct Session {
    follower: Member,
    signal: Arc<Signal>,
    slots: Mutex<Slots>,
    close: Notify,
}

#[derive(Default)]
struct Slots {
    by_number: HashMap<u32, Slot>,
    /// Those whose partition is not here (yet).
    unplaced: Vec<u32>,
}

/// One partition that is followed.
struct Slot {
    topic: Uuid,
    index: i32,
    fetch: FollowerFetch,
    partition: Option<Arc<Partition>>,
    news: Arc<FollowerSlot>,
    state: State,
    /// Where answers end that were sent since that fetch, oldest first.
    sent: VecDeque<i64>,
    /// The high watermark that the follower was told last.
    told: i64,
}

/// Why records are held back.
#[derive(Clone, Copy, Debug)]
enum Brake {
    /// The topic names the replica (KIP-73).
    Named,
    /// The follower is a replica that is added.
    Added,
}

impl Brake {
    fn throttle(self, throttles: &Throttles) -> &Throttle {
        match self {
            Brake::Named => &throttles.leader,
            Brake::Added => &throttles.added,
        }
    }
}

/// Slots that are held back, each until its throttle lets go.
#[derive(Default)]
struct Held {
    named: Vec<u32>,
    added: Vec<u32>,
}

impl Held {
    fn list(&mut self, brake: Brake) -> &mut Vec<u32> {
        match brake {
            Brake::Named => &mut self.named,
            Brake::Added => &mut self.added,
        }
    }

    /// Puts those that may go on back in line; answers how long the others wait, if there are any.
    fn release(&mut self, throttles: &Throttles, backlog: &mut VecDeque<u32>) -> Option<Duration> {
        let mut shortest: Option<Duration> = None;
        for brake in [Brake::Named, Brake::Added] {
            let pause = brake.throttle(throttles).pause();
            let list = self.list(brake);
            if pause.is_zero() {
                backlog.extend(list.drain(..));
            } else if !list.is_empty() {
                shortest = Some(shortest.map_or(pause, |known| known.min(pause)));
            }
        }
        shortest
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This broker does not lead in the follower's epoch (yet).
    Parked,
    /// The position counts; records go out as they come.
    Ready,
    /// That has to be said.
    Say(Answer),
    /// The follower has something to do, and then asks anew.
    Told,
}

/// Serves a connection whose first frame said that a follower calls.
///
/// # Errors
/// What ended it.
pub async fn serve(
    mut stream: TcpStream,
    hello: Bytes,
    broker: Arc<Broker>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let hello = Hello::decode(hello).map_err(invalid)?;
    let (read, mut write) = stream.split();
    frame::write(&mut write, &[wire::encode_welcome(broker.id).freeze()]).await?;
    if hello.leader != broker.id {
        info!(
            follower = hello.follower.broker,
            wanted = hello.leader,
            "a follower looks for another broker here"
        );
        return Ok(());
    }
    let session = Arc::new(Session {
        follower: hello.follower,
        signal: Arc::new(Signal::default()),
        slots: Mutex::default(),
        close: Notify::new(),
    });
    broker.replication.add_session(hello.follower.broker, &session);
    let ended = tokio::select! {
        ended = session.listen(&broker, read.as_ref()) => ended,
        ended = session.speak(&broker, write.as_ref()) => ended,
        () = session.close.notified() => return Ok(()),
        () = stopped(&mut stop) => return Ok(()),
    };
    drop(session);
    tokio::select! {
        () = suspicion::look_after(broker.clone(), hello.follower.broker) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    ended
}

/// Ends a moment after the broker began to stop: what it has appended reaches its followers, and its producers hear so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = stop.wait_for(|stop| *stop).await;
    sleep(LAST_RECORDS).await;
}

pub(super) fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Session {
    /// Ends the exchange.
    pub fn close(&self) {
        self.close.notify_one();
    }

    async fn listen(&self, broker: &Broker, socket: &TcpStream) -> io::Result<()> {
        let mut frames = Frames::new(MAX_ASKS);
        loop {
            let frame = frames.next(socket).await?;
            let length = frame.len();
            broker.replication.hearing.heard(self.follower.broker);
            for (number, ask) in wire::decode_asks(frame, self.follower).map_err(invalid)? {
                self.take(broker, number, ask)?;
            }
            if length > USUAL_ASKS {
                frames.let_go();
            }
        }
    }

    /// Takes in what the follower asks for.
    fn take(&self, broker: &Broker, number: u32, ask: Ask) -> io::Result<()> {
        let mut slots = self.slots.lock();
        let slots = &mut *slots;
        let Ask::Fetch { topic, partition: index, fetch } = ask else {
            match ask {
                Ask::Cannot => {
                    slots.by_number.get(&number).into_iter().for_each(|slot| slot.is_stuck(broker))
                }
                _ => drop(slots.by_number.remove(&number)),
            }
            return Ok(());
        };
        if slots.by_number.len() >= MAX_SLOTS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many partitions in one exchange"));
        }
        let news = || Arc::new(FollowerSlot::new(number, self.signal.clone()));
        let new = || Slot {
            topic,
            index,
            fetch,
            partition: None,
            news: news(),
            state: State::Parked,
            sent: VecDeque::new(),
            told: -1,
        };
        let slot = slots.by_number.entry(number).or_insert_with(new);
        if (slot.topic, slot.index) != (topic, index) {
            *slot = new();
        }
        slot.has(&fetch);
        slot.weigh(broker);
        if slot.partition.is_none() {
            slots.unplaced.push(number);
        }
        Ok(())
    }

    async fn speak(&self, broker: &Broker, socket: &TcpStream) -> io::Result<()> {
        let mut views = broker.view_changes();
        let mut backlog = VecDeque::new();
        let mut held = Held::default();
        let mut turn = Turn::default();
        loop {
            let mut alive = false;
            let pause = held.release(&broker.throttles, &mut backlog);
            if backlog.is_empty() {
                tokio::select! {
                    () = sleep(pause.unwrap_or_default()), if pause.is_some() => continue,
                    () = self.signal.woken() => {}
                    _ = views.changed() => self.place(broker),
                    () = sleep(SIGN_OF_LIFE) => alive = true,
                }
            }
            if let Some(frame) = self.next_frame(broker, &mut backlog, &mut held, alive)? {
                server::write(socket, frame, broker, &mut turn).await?;
            }
        }
    }

    /// Partitions that were not here may be by now.
    fn place(&self, broker: &Broker) {
        let mut slots = self.slots.lock();
        let slots = &mut *slots;
        slots.unplaced.retain(|number| {
            let Some(slot) = slots.by_number.get_mut(number) else { return false };
            slot.weigh(broker);
            slot.partition.is_none()
        });
    }

    /// What is to be said, within the limit of one frame; the rest stays in the backlog. `alive`: a frame without
    /// anything, too. What is throttled and has to wait is `held`.
    fn next_frame(
        &self,
        broker: &Broker,
        backlog: &mut VecDeque<u32>,
        held: &mut Held,
        alive: bool,
    ) -> io::Result<Option<ResponseFrame>> {
        backlog.extend(self.signal.take());
        let config = broker.config();
        broker.throttles.added.set_rate(config.reassignment_rate);
        let mut slots = self.slots.lock();
        let (mut all, mut len) = (Vec::new(), 0);
        while len < config.replica_response_bytes {
            let Some(number) = backlog.pop_front() else { break };
            let Some(slot) = slots.by_number.get_mut(&number) else { continue };
            let mut most = (config.replica_response_bytes - len).min(config.replica_fetch_bytes);
            let brake = slot.brake(self.follower.broker);
            let throttle = brake.map(|brake| brake.throttle(&broker.throttles));
            if let (Some(brake), Some(throttle)) = (brake, throttle) {
                if !throttle.pause().is_zero() {
                    held.list(brake).push(number);
                    continue;
                }
                most = most.min(throttle.piece());
            }
            if let Some(told) = slot.tell(broker, number, most) {
                if let Some(throttle) = throttle {
                    throttle.took(told.len());
                }
                len += told.len();
                all.push(told);
            }
        }
        if all.is_empty() && !alive {
            return Ok(None);
        }
        wire::encode_answers(all).map(Some).map_err(io::Error::other)
    }
}

impl Slot {
    /// The follower has everything below that offset. It asks for what it was sent already only where it could not use
    /// that.
    fn has(&mut self, fetch: &FollowerFetch) {
        let at = self.sent.iter().position(|end| *end == fetch.offset);
        match at.filter(|_| fetch.leader_epoch == self.fetch.leader_epoch) {
            Some(at) => drop(self.sent.drain(..=at)),
            None => self.sent.clear(),
        }
        self.fetch = *fetch;
    }

    /// The follower cannot append what it was sent for its fetch.
    fn is_stuck(&self, broker: &Broker) {
        if let Some(partition) = self.partition.as_ref().filter(|one| one.follower_cannot_append(&self.fetch))
        {
            broker.replication.look_at(partition);
        }
    }

    /// Where the next answer begins.
    fn next_offset(&self) -> i64 {
        self.sent.back().copied().unwrap_or(self.fetch.offset)
    }

    /// By what records for this follower are held back while it is not in sync: the topic says so (KIP-73), or it is
    /// added.
    fn brake(&self, follower: i32) -> Option<Brake> {
        let partition = self.partition.as_ref().filter(|_| self.state == State::Ready)?;
        let state = partition.state();
        if state.in_isr(follower).is_some() {
            return None;
        }
        if partition.config().throttled_leaders.has(self.index, partition.member().broker) {
            return Some(Brake::Named);
        }
        state.adding.contains(&follower).then_some(Brake::Added)
    }

    /// Judges the follower's fetch, where this broker leads.
    fn weigh(&mut self, broker: &Broker) {
        self.state = State::Parked;
        let Some(partition) = broker.view().hosted.partition(self.topic, self.index).cloned() else {
            self.partition = None;
            self.sent.clear();
            return;
        };
        if self.partition.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &partition)) {
            self.sent.clear();
            // Before the log is looked at: an append in between is not missed.
            partition.add_exchange(&self.news);
            self.partition = Some(partition.clone());
        }
        let served = partition.serve_follower(&self.fetch);
        if served.may_join {
            broker.replication.look_at(&partition);
        }
        match served.answer {
            Answer::Refused(Refusal::NotLeader | Refusal::HigherEpoch { .. }) => self.sent.clear(),
            Answer::Records { high_watermark, .. } => {
                self.state = State::Ready;
                if self.next_offset() < partition.reader().log_end_offset() {
                    self.news.urgent();
                } else if self.told != high_watermark {
                    self.news.queue();
                }
            }
            answer => {
                self.sent.clear();
                self.state = State::Say(answer);
                self.news.urgent();
            }
        }
    }

    /// What is to be said of this partition now, if anything is.
    fn tell(&mut self, broker: &Broker, number: u32, max_bytes: usize) -> Option<Told<Records>> {
        self.news.taken();
        let (leader_epoch, offset) = (self.fetch.leader_epoch, self.next_offset());
        let told = |answer, records| Told { slot: number, leader_epoch, offset, answer, records };
        match self.state {
            State::Told => return None,
            State::Say(answer) => {
                self.state = State::Told;
                return Some(told(answer, Records::NONE));
            }
            State::Parked => {
                self.weigh(broker);
                return None;
            }
            State::Ready => {}
        }
        let partition = self.partition.clone()?;
        if !partition.leads_in(leader_epoch) {
            self.state = State::Parked;
            return None;
        }
        let high_watermark = partition.high_watermark();
        let log_start = partition.reader().log_start_offset();
        let at_least = match self.sent.is_empty() {
            true => 0,
            // Behind a gap the follower asks for another offset than the next one that there is.
            false if partition.config().log.cleanup_compact => usize::MAX,
            false => AHEAD.min(max_bytes),
        };
        let found = match partition.read_for_follower(offset, max_bytes, at_least) {
            Ok(found) => found,
            Err(StorageError::OffsetOutOfRange { .. }) => {
                self.sent.clear();
                self.weigh(broker);
                return None;
            }
            Err(error) => {
                debug!(partition = %partition.name(), %error, "cannot be read for a follower");
                self.state = State::Parked;
                return None;
            }
        };
        if !partition.leads_in(leader_epoch) {
            // What was read may be of a later epoch, with what stood before it cut: it does not continue that log.
            self.state = State::Parked;
            return None;
        }
        if found.is_none() && high_watermark == self.told {
            return None;
        }
        self.told = high_watermark;
        let records = found.map_or(Records::NONE, |(records, next_offset)| {
            self.sent.push_back(next_offset);
            if self.sent.len() >= ON_THEIR_WAY {
                self.state = State::Told;
            } else if next_offset < partition.reader().log_end_offset() {
                self.news.urgent();
            }
            records
        });
        Some(told(Answer::Records { high_watermark, log_start }, records))
    }
}
