//! The follower's side of an exchange: one leader, all partitions that are followed from it.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use milena_replication::{Answer, FollowerFetch};
use tokio::{
    io::AsyncWrite,
    net::TcpStream,
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info};
use uuid::Uuid;

use super::{
    absence::hung_up,
    frame::{self, Frames},
    wire::{self, Ask, Asks, Hello},
};
use crate::{
    cluster::BrokerInfo,
    node::Broker,
    partitions::{Partition, Taken, Waiter},
    server::Turn,
};

/// A connection is tried for so long.
const CONNECT: Duration = Duration::from_secs(3);
/// A leader that says nothing for so long is called anew; it gives signs of life every half second.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two tries to reach a leader: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// What failed is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// A leader hears from a follower this often at least: it answers signs of life, too.
const SIGN_OF_LIFE: Duration = Duration::from_millis(400);
/// Most partitions that one frame asks for.
const ASKS: u32 = 8_192;

/// What a fetcher is told.
pub enum Command {
    /// That partition is to be followed from this leader, in the epoch that it knows.
    Follow(Arc<Partition>),
    /// That one no longer.
    Leave(Uuid, i32),
}

/// Reaches another broker: by its pod's address, which is known before its name is.
pub async fn connect(broker: &BrokerInfo) -> io::Result<TcpStream> {
    let host = broker.pod_ip.as_deref().or(broker.host.as_deref()).unwrap_or("127.0.0.1");
    let stream = timeout(CONNECT, TcpStream::connect((host, broker.port))).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Follows one leader.
pub struct Fetcher {
    broker: Arc<Broker>,
    leader: i32,
    numbers: HashMap<(Uuid, i32), u32>,
    followed: HashMap<u32, Followed>,
    next: u32,
    /// To be asked for.
    due: Vec<u32>,
    /// Numbers whose partition the leader need not look after any more.
    left: Vec<u32>,
    failed: HashSet<u32>,
    /// Those whose leader is to be told that they cannot append.
    stuck: Vec<u32>,
    /// When the leader was told anything last.
    spoke_at: Instant,
    /// Those whose disk has to have what was taken before they ask for more (`flush.messages`).
    flushing: HashSet<u32>,
    /// Those that are throttled and have to wait.
    held: HashSet<u32>,
    /// Woken when a disk has it.
    flushed: Arc<Waiter>,
}

struct Followed {
    partition: Arc<Partition>,
    asked: Option<FollowerFetch>,
    /// Records came before those that lie between had been taken: the leader has to be asked as if for the first time.
    anew: bool,
}

/// Why an exchange has ended in order.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Nothing is followed from this leader.
    Idle,
    /// The broker stops.
    Stopped,
}

impl Fetcher {
    /// Follows nothing yet.
    pub fn new(broker: Arc<Broker>, leader: i32) -> Fetcher {
        Fetcher {
            broker,
            leader,
            numbers: HashMap::new(),
            followed: HashMap::new(),
            next: 0,
            due: Vec::new(),
            left: Vec::new(),
            failed: HashSet::new(),
            stuck: Vec::new(),
            spoke_at: Instant::now(),
            flushing: HashSet::new(),
            held: HashSet::new(),
            flushed: Arc::default(),
        }
    }

    /// Follows until nobody can give commands any more.
    pub async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let mut pause = PAUSES.0;
        loop {
            if self.followed.is_empty() {
                let Some(command) = commands.recv().await else { return };
                self.take(command);
                pause = PAUSES.0;
                continue;
            }
            let begun = Instant::now();
            match self.exchange(&mut commands).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Idle) => continue,
                Err(error) => {
                    hung_up(&self.broker, self.leader, error.kind());
                    debug!(me = self.broker.id, leader = self.leader, %error, "not following for now")
                }
            }
            if begun.elapsed() > RETRY {
                pause = PAUSES.0;
            }
            if !self.pause(&mut pause, &mut commands).await {
                return;
            }
        }
    }

    /// Waits before the leader is called again, or until somebody else is to be followed from it, or nobody any more. Who
    /// leaves is no reason to call at once: thousands leave a leader that is gone. False: the broker stops.
    async fn pause(&mut self, pause: &mut Duration, commands: &mut UnboundedReceiver<Command>) -> bool {
        let until = Instant::now() + *pause;
        while !self.followed.is_empty() {
            tokio::select! {
                () = sleep_until(until) => {
                    *pause = (*pause * 2).min(PAUSES.1);
                    break;
                }
                command = commands.recv() => {
                    let Some(command) = command else { return false };
                    let calls = matches!(command, Command::Follow(_));
                    self.take(command);
                    if calls {
                        break;
                    }
                }
            }
        }
        true
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Follow(partition) => {
                let key = (partition.topic_id, partition.index);
                let number = *self.numbers.entry(key).or_insert_with(|| {
                    self.next = self.next.wrapping_add(1);
                    self.next
                });
                let followed = self.followed.entry(number);
                let followed = followed.or_insert_with(|| Followed {
                    partition: partition.clone(),
                    asked: None,
                    anew: false,
                });
                followed.partition = partition;
                self.due.push(number);
            }
            Command::Leave(topic, index) => {
                if let Some(number) = self.numbers.remove(&(topic, index)) {
                    self.followed.remove(&number);
                    self.left.push(number);
                }
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let view = self.broker.view();
        let Some(leader) = view.image.brokers.get(&self.leader) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "nobody knows where that broker is"));
        };
        connect(leader).await
    }

    /// One connection, from the first word to the last.
    async fn exchange(&mut self, commands: &mut UnboundedReceiver<Command>) -> io::Result<Ended> {
        let stream = self.connect().await?;
        let (read, mut write) = stream.into_split();
        let mut frames = Frames::new(self.broker.config().max_frame_bytes);
        let Some(follower) = self.followed.values().next().map(|one| one.partition.member()) else {
            return Ok(Ended::Idle);
        };
        let hello = Hello { follower, leader: self.leader };
        frame::write(&mut write, &[hello.encode().freeze()]).await?;
        let welcome = timeout(SILENCE, frames.next(read.as_ref())).await??;
        let reached = wire::decode_welcome(welcome).map_err(super::session::invalid)?;
        if reached != self.leader {
            let text = format!("broker {reached} is where broker {} should be", self.leader);
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        }
        self.broker.replication.absences.end(self.leader);
        info!(me = self.broker.id, leader = self.leader, partitions = self.followed.len(), "following");
        // The leader knows nothing yet: all is asked for.
        self.left.clear();
        self.stuck.clear();
        self.due = self.followed.keys().copied().collect();
        self.followed.values_mut().for_each(|one| one.asked = None);
        self.follow(commands, &mut frames, read.as_ref(), &mut write).await
    }

    async fn follow(
        &mut self,
        commands: &mut UnboundedReceiver<Command>,
        frames: &mut Frames,
        read: &TcpStream,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Ended> {
        let mut retry_at = Instant::now();
        let mut turn = Turn::default();
        loop {
            self.ask(write).await?;
            if self.followed.is_empty() {
                return Ok(Ended::Idle);
            }
            let nothing_failed = self.failed.is_empty();
            tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else { return Ok(Ended::Stopped) };
                    self.take(command);
                    while let Ok(command) = commands.try_recv() {
                        self.take(command);
                    }
                }
                frame = timeout(SILENCE, frames.next(read)) => {
                    let frame = frame??;
                    let bytes = frame.len();
                    if self.hear(frame)? == 0 {
                        frames.let_go();
                    }
                    turn.moved(bytes).await;
                }
                () = sleep(self.broker.throttles.follower.pause()), if !self.held.is_empty() => {
                    self.due.extend(self.held.drain());
                }
                () = self.flushed.woken(), if !self.flushing.is_empty() => self.due.extend(self.flushing.drain()),
                () = sleep_until(retry_at), if !nothing_failed => self.due.extend(self.failed.drain()),
            }
            if nothing_failed && !self.failed.is_empty() {
                retry_at = Instant::now() + RETRY;
            }
        }
    }

    /// Asks for all that is due.
    async fn ask(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut asks = Asks::default();
        for number in std::mem::take(&mut self.left) {
            asks.push(number, &Ask::Leave);
        }
        for number in std::mem::take(&mut self.due) {
            let Some(one) = self.followed.get_mut(&number) else { continue };
            if one.partition.waits_for_disk(&self.flushed) {
                self.flushing.insert(number);
                continue;
            }
            if is_throttled(&one.partition) && !self.broker.throttles.follower.pause().is_zero() {
                self.held.insert(number);
                continue;
            }
            let next = one.partition.next_fetch().filter(|(leader, _)| *leader == self.leader);
            let next = next.map(|(_, fetch)| fetch);
            let (topic, partition) = (one.partition.topic_id, one.partition.index);
            if std::mem::take(&mut one.anew) {
                asks.push(number, &Ask::Leave);
            }
            match next {
                Some(fetch) => asks.push(number, &Ask::Fetch { topic, partition, fetch }),
                None if one.asked.is_some() => asks.push(number, &Ask::Leave),
                None => {}
            }
            one.asked = next;
            if asks.len() >= ASKS {
                frame::write(socket, &[asks.take().freeze()]).await?;
            }
        }
        for number in std::mem::take(&mut self.stuck) {
            asks.push(number, &Ask::Cannot);
        }
        if !asks.is_empty() {
            frame::write(socket, &[asks.take().freeze()]).await?;
            self.spoke_at = Instant::now();
        } else if self.spoke_at.elapsed() >= SIGN_OF_LIFE {
            frame::write(socket, &[wire::encode_sign_of_life().freeze()]).await?;
            self.spoke_at = Instant::now();
        }
        Ok(())
    }

    /// Takes in what the leader says; of how many partitions.
    fn hear(&mut self, frame: Bytes) -> io::Result<usize> {
        let all = wire::decode_answers(frame).map_err(super::session::invalid)?;
        let count = all.len();
        for told in all {
            let Some(one) = self.followed.get_mut(&told.slot) else { continue };
            let matches = |asked: &FollowerFetch| {
                (asked.leader_epoch, asked.offset) == (told.leader_epoch, told.offset)
            };
            let Some(asked) = one.asked.filter(matches) else {
                let is_ahead = |asked: FollowerFetch| {
                    asked.leader_epoch == told.leader_epoch && asked.offset < told.offset
                };
                // What was between is not there: the leader does not know that.
                if !told.records.is_empty() && one.asked.is_some_and(is_ahead) {
                    one.anew = true;
                    if !self.failed.contains(&told.slot) {
                        self.due.push(told.slot);
                    }
                }
                continue;
            };
            if is_throttled(&one.partition) {
                self.broker.throttles.follower.took(told.records.len());
            }
            match one.partition.take_answer(&asked, &told.answer, &told.records) {
                Taken::Again => self.due.push(told.slot),
                Taken::Failed => {
                    self.failed.insert(told.slot);
                    self.stuck.push(told.slot);
                }
                Taken::Nothing if matches!(told.answer, Answer::Refused(_)) || !told.records.is_empty() => {
                    self.failed.insert(told.slot);
                }
                Taken::Nothing => {}
            }
        }
        Ok(count)
    }
}

/// Whether what is taken of this partition is counted: the topic says so, and it is not in sync (KIP-73).
fn is_throttled(partition: &Partition) -> bool {
    let me = partition.member().broker;
    partition.config().throttled_followers.has(partition.index, me) && partition.state().in_isr(me).is_none()
}
