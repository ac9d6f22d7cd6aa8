//! What replicas do with clients, with each other, and with the state in the API server.

use super::log::Record;
use super::network::Message;
use super::node::{MAX_LAG_MS, PATIENCE_MS, Patch};
use super::rules::Broken;
use super::world::World;
use crate::{Answer, Belief, Change, FollowerFetch, FollowerStep, LogView, Outcome, Refusal, Source};

impl World {
    /// A producer writes to whom it takes for the leader.
    pub fn produce(&mut self, broker: usize, partition: usize, all: bool) {
        let now_ms = self.now + self.nodes[broker].skew;
        let node = &mut self.nodes[broker];
        if node.full {
            return;
        }
        let log = &mut node.disk.logs[partition];
        let part = &mut node.process.as_mut().unwrap().parts[partition];
        let Some(leader) = part.replica.leader_mut() else { return };
        if all && !leader.has_enough_in_sync() {
            return;
        }
        self.values += 1;
        let record = Record { epoch: leader.epoch(), value: self.values };
        let offset = log.log_end();
        log.append(record);
        leader.appended(log.log_end(), log.log_end(), now_ms);
        if all {
            part.waiting.push((offset, record));
        }
        self.say(|| format!("broker {broker} appends {} at {offset} of {partition}", record.value));
        self.ghost.wrote(partition, offset, record);
        if self.broken == Some(Broken::ThisEpoch) {
            self.count_former_positions(broker, partition);
        }
        self.publish(broker, partition);
    }

    /// A follower asks for more of each partition that it follows.
    pub fn fetch_all(&mut self, broker: usize) {
        let now = self.now;
        let node = &mut self.nodes[broker];
        let process = node.process.as_mut().unwrap();
        for (partition, part) in process.parts.iter_mut().enumerate() {
            let Some(follower) = part.replica.follower().filter(|_| part.fetching_until <= now) else {
                continue;
            };
            let fetch = follower.next_fetch(&node.disk.logs[partition]);
            let to = usize::try_from(follower.leader()).unwrap();
            part.fetching_until = now + PATIENCE_MS;
            let message = Message::Fetch { partition, life: process.life, to, fetch };
            self.net.send(message, now, &mut self.rng);
        }
    }

    /// Sends the changes of the ISR that are due, together or one by one.
    pub fn propose(&mut self, broker: usize) {
        let now = self.now;
        let beliefs: Vec<Belief> = (0..self.nodes.len()).map(|other| self.belief(other)).collect();
        let node = &mut self.nodes[broker];
        let now_ms = now + node.skew;
        let process = node.process.as_mut().unwrap();
        let mut changes = Vec::new();
        for (partition, part) in process.parts.iter_mut().enumerate() {
            let Some(leader) = part.replica.leader_mut() else { continue };
            let change = leader.propose(now_ms, MAX_LAG_MS, |id| beliefs[usize::try_from(id).unwrap()]);
            changes.extend(change.map(|change| (partition, change)));
        }
        if changes.is_empty() {
            let early = |partition| Some((partition, self.leave_early(broker, partition)?));
            changes.extend((0..self.partitions).filter_map(early));
        }
        if changes.is_empty() {
            return;
        }
        let single = self.rng.percent(50);
        let batches: Vec<Vec<(usize, Change)>> =
            if single { changes.into_iter().map(|change| vec![change]).collect() } else { vec![changes] };
        for changes in batches {
            for (partition, change) in &changes {
                self.say(|| format!("broker {broker} proposes for {partition}: {}", change.new));
            }
            let process = self.nodes[broker].process.as_mut().unwrap();
            process.next_patch += 1;
            let (id, life) = (process.next_patch, process.life);
            process.patches.push(Patch { id, until: now + PATIENCE_MS, changes: changes.clone() });
            self.net.send(Message::Patch { from: broker, life, id, changes }, now, &mut self.rng);
        }
    }

    /// Requests that took too long: nobody knows what came of them.
    pub fn give_up(&mut self, broker: usize) {
        let now = self.now;
        let process = self.process(broker);
        let over: Vec<Patch> = process.patches.extract_if(.., |patch| patch.until <= now).collect();
        for patch in over {
            self.answered(broker, &patch.changes, Outcome::Unknown);
        }
    }

    fn answered(&mut self, broker: usize, changes: &[(usize, Change)], outcome: Outcome) {
        for (partition, change) in changes {
            self.say(|| format!("broker {broker}'s change of {partition}: {outcome:?}"));
            // With a rule of the ELR off, what is stored is not quite what was proposed: the watch tells.
            let rewriting = [Broken::ElrCleared, Broken::LeavesInNewEpoch].map(Some).contains(&self.broken);
            let rewritten = rewriting && outcome == Outcome::Succeeded;
            let outcome = if rewritten { Outcome::Unknown } else { outcome };
            let node = &mut self.nodes[broker];
            if outcome == Outcome::Succeeded {
                let known = node.disk.memory[*partition].as_ref();
                if known.is_none_or(|known| known.epochs() < change.new.epochs()) {
                    node.disk.memory[*partition] = Some(change.new.clone());
                    node.process.as_mut().unwrap().ahead[*partition] = true;
                }
            }
            let part = &mut node.process.as_mut().unwrap().parts[*partition];
            part.replica.answered(change, outcome);
            self.publish(broker, *partition);
        }
    }

    /// Page cache to disk, and the high watermarks to their checkpoint.
    pub fn write_down(&mut self, broker: usize) {
        let node = &mut self.nodes[broker];
        let process = node.process.as_mut().unwrap();
        for (at, part) in process.parts.iter().enumerate() {
            if self.rng.percent(50) {
                node.disk.logs[at].sync();
            }
            node.disk.high_watermarks[at] = part.high_watermark;
            if part.replica.leader().is_some() && self.retention && self.rng.percent(20) {
                let log = &mut node.disk.logs[at];
                let below = log.log_start() + self.rng.within(0, part.high_watermark - log.log_start());
                log.drop_below(below);
                self.ghost.dropped(at, log.log_start());
            }
        }
    }

    /// A message arrives at a broker.
    pub fn receive(&mut self, message: Message) {
        match message {
            Message::Fetch { partition, life, to, fetch } => self.serve(partition, life, to, fetch),
            Message::Cannot { partition, to, fetch } => {
                let Some(process) = self.nodes[to].process.as_mut() else { return };
                if let Some(leader) = process.parts[partition].replica.leader_mut() {
                    leader.cannot_append(&fetch);
                }
            }
            Message::Tell { partition, leader, leaders_life, life, fetch }
                if self.lives(leader, leaders_life) =>
            {
                self.tell(partition, life, leader, fetch);
            }
            Message::Fetched { partition, to, life, asked, answer, records, .. } if self.lives(to, life) => {
                self.take(partition, to, asked, answer, &records);
            }
            Message::Patched { to, life, id, done } if self.lives(to, life) => {
                let process = self.process(to);
                let Some(at) = process.patches.iter().position(|patch| patch.id == id) else { return };
                let Patch { changes, .. } = process.patches.swap_remove(at);
                self.answered(to, &changes, if done { Outcome::Succeeded } else { Outcome::Conflict });
            }
            Message::IsRead { to, life, version } if self.lives(to, life) => {
                self.see(to, version, Source::Store);
            }
            _ => {}
        }
    }

    fn lives(&self, broker: usize, life: u32) -> bool {
        self.nodes[broker].process.as_ref().is_some_and(|process| process.life == life)
    }

    /// A leader takes a follower's fetch. What it answers it reads a little later, without a lock.
    fn serve(&mut self, partition: usize, life: u32, broker: usize, fetch: FollowerFetch) {
        let now_ms = self.now + self.nodes[broker].skew;
        let node = &mut self.nodes[broker];
        let log = &node.disk.logs[partition];
        let Some(process) = node.process.as_mut() else { return };
        let served = process.parts[partition].replica.fetch(&fetch, log, now_ms);
        match served.answer {
            Answer::Records { .. } => {
                let leaders_life = process.life;
                let tell = Message::Tell { partition, leader: broker, leaders_life, life, fetch };
                self.net.send(tell, self.now, &mut self.rng);
            }
            answer => self.answer(partition, life, broker, fetch, answer, Vec::new()),
        }
        self.publish(broker, partition);
    }

    /// A leader reads for a follower, and answers if it still leads in that epoch afterwards.
    fn tell(&mut self, partition: usize, life: u32, broker: usize, fetch: FollowerFetch) {
        let node = &self.nodes[broker];
        let log = &node.disk.logs[partition];
        let leads = node.leader(partition).is_some_and(|leader| leader.epoch() == fetch.leader_epoch);
        if !leads && self.broken != Some(Broken::ReadsInEpoch) {
            return;
        }
        let high_watermark = self.nodes[broker].process.as_ref().unwrap().parts[partition].high_watermark;
        let answer = Answer::Records { high_watermark, log_start: log.log_start() };
        let most = self.rng.within(0, self.most_records);
        let records = (fetch.offset..fetch.offset + most).map_while(|offset| log.record(offset)).collect();
        self.answer(partition, life, broker, fetch, answer, records);
    }

    fn answer(
        &mut self,
        partition: usize,
        life: u32,
        broker: usize,
        fetch: FollowerFetch,
        answer: Answer,
        records: Vec<Record>,
    ) {
        let to = usize::try_from(fetch.replica.broker).unwrap();
        self.say(|| {
            let FollowerFetch { leader_epoch, offset, last_epoch, .. } = fetch;
            let values: Vec<u32> = records.iter().map(|record| record.value).collect();
            format!(
                "broker {to} has asked {broker} in {partition} from {offset} on (last epoch {last_epoch}) in epoch \
                 {leader_epoch}: {answer:?} {values:?}"
            )
        });
        let message = Message::Fetched { partition, from: broker, to, life, asked: fetch, answer, records };
        self.net.send(message, self.now, &mut self.rng);
    }

    /// A follower takes an answer.
    fn take(
        &mut self,
        partition: usize,
        broker: usize,
        asked: FollowerFetch,
        answer: Answer,
        records: &[Record],
    ) {
        let synced = self.broken != Some(Broken::TruncationSynced);
        let node = &mut self.nodes[broker];
        let log = &mut node.disk.logs[partition];
        let part = &mut node.process.as_mut().unwrap().parts[partition];
        part.fetching_until = 0;
        if let Answer::Refused(Refusal::LowerEpoch { current } | Refusal::HigherEpoch { current }) = answer {
            part.replica.saw_epoch(current);
        }
        let Some(follower) = part.replica.follower_mut() else { return };
        match follower.take(&asked, &answer, log) {
            FollowerStep::Ignore => return,
            FollowerStep::Truncate(end) => {
                self.ghost.cuts += u64::from(end < log.log_end());
                log.truncate(end, synced);
                follower.truncated(log.log_end());
            }
            FollowerStep::StartAt(offset) => {
                log.start_at(offset);
                follower.truncated(log.log_end());
            }
            FollowerStep::Append if node.full && !records.is_empty() => {
                let to = usize::try_from(follower.leader()).unwrap();
                let cannot = Message::Cannot { partition, to, fetch: asked };
                return self.net.send(cannot, self.now, &mut self.rng);
            }
            FollowerStep::Append => {
                let Answer::Records { high_watermark, log_start } = answer else { return };
                for record in records {
                    self.ghost.copied(partition, log.log_end(), *record);
                    log.append(*record);
                }
                follower.appended(log.log_end(), high_watermark);
                log.drop_below(log_start);
            }
        }
        part.high_watermark = follower.high_watermark();
        self.ghost.follows(partition, part.high_watermark, log);
    }
}
