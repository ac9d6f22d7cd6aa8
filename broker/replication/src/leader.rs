//! What a leader knows of its followers, and the high watermark that follows from it (rules 3, 4 and 10).

use std::collections::BTreeMap;

use milena_crds::partition::{Generation, Member, PartitionState};

/// How a broker came to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// It was made leader in this epoch while it ran.
    Elected,
    /// It restarted within an epoch in which it had led before: a proposal of its former life may be on its
    /// way, so it proposes nothing and waits for every replica of the partition (rule 10).
    Resumed,
}

/// The leader's side of one partition in one leader epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    me: i32,
    epoch: i32,
    leadership: Leadership,
    min_in_sync: usize,
    replicas: Vec<i32>,
    in_sync: Vec<Member>,
    followers: BTreeMap<i32, Position>,
    /// Log end when this epoch's leadership began.
    start: i64,
    log_end: i64,
    high_watermark: i64,
}

/// How far a follower has come in this leader epoch.
#[derive(Clone, Copy, Debug)]
struct Position {
    generation: Generation,
    log_end: i64,
}

impl Leader {
    /// Begins to lead: `log_end` and `high_watermark` are those of the log as it is, `min_in_sync` is
    /// `min.insync.replicas`. None where `state` does not make `me` of that generation the leader (rule 3).
    pub fn new(
        me: Member,
        state: &PartitionState,
        leadership: Leadership,
        min_in_sync: usize,
        log_end: i64,
        high_watermark: i64,
    ) -> Option<Leader> {
        if state.leader != Some(me.broker) || !state.isr.contains(&me) {
            return None;
        }
        let mut leader = Leader {
            me: me.broker,
            epoch: state.leader_epoch,
            leadership,
            min_in_sync,
            replicas: state.replicas.clone(),
            in_sync: state.isr.clone(),
            followers: BTreeMap::new(),
            start: log_end,
            log_end,
            high_watermark: high_watermark.min(log_end),
        };
        leader.advance();
        Some(leader)
    }

    /// The leader epoch of this leadership.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The high watermark: everything below is on every in-sync replica.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether the latest offset may be told: from here on it never goes back (rule 4).
    pub fn tells_latest(&self) -> bool {
        self.high_watermark >= self.start
    }

    /// Whether acks=all can be promised: enough replicas are in sync. As in Kafka, a topic with fewer
    /// replicas than `min.insync.replicas` needs all of them.
    pub fn has_enough_in_sync(&self) -> bool {
        self.in_sync.len() >= self.min_in_sync.min(self.replicas.len())
    }

    /// `min.insync.replicas` changed; answers whether the high watermark moved.
    pub fn set_min_in_sync(&mut self, min_in_sync: usize) -> bool {
        self.min_in_sync = min_in_sync;
        self.advance()
    }

    /// The leader's own log ends at `log_end` now; answers whether the high watermark moved.
    pub fn appended(&mut self, log_end: i64) -> bool {
        self.log_end = log_end;
        self.advance()
    }

    /// A follower fetched from `log_end` on in this epoch: it has everything below. Answers whether the high
    /// watermark moved.
    pub fn fetched(&mut self, follower: Member, log_end: i64) -> bool {
        if follower.broker == self.me || !self.replicas.contains(&follower.broker) {
            return false;
        }
        let position = Position { generation: follower.generation, log_end: log_end.min(self.log_end) };
        self.followers.insert(follower.broker, position);
        self.advance()
    }

    /// The store has newer state of this same epoch. Answers whether the high watermark moved.
    pub fn committed(&mut self, state: &PartitionState) -> bool {
        self.replicas.clone_from(&state.replicas);
        self.in_sync.clone_from(&state.isr);
        self.advance()
    }

    fn advance(&mut self) -> bool {
        if !self.has_enough_in_sync() {
            return false;
        }
        let everyone = match self.leadership {
            Leadership::Elected => self.in_sync.iter().map(|member| self.position(*member)).min(),
            Leadership::Resumed => self.replicas.iter().map(|replica| self.position_of(*replica)).min(),
        };
        let reached = everyone.flatten().unwrap_or(self.high_watermark);
        let moved = reached > self.high_watermark;
        self.high_watermark = self.high_watermark.max(reached);
        moved
    }

    /// The log end of a member; none where it is unknown, or known of another generation only.
    fn position(&self, member: Member) -> Option<i64> {
        if member.broker == self.me {
            return Some(self.log_end);
        }
        let position = self.followers.get(&member.broker)?;
        (position.generation == member.generation).then_some(position.log_end)
    }

    fn position_of(&self, replica: i32) -> Option<i64> {
        match self.in_sync.iter().find(|member| member.broker == replica) {
            Some(member) => self.position(*member),
            None => self.followers.get(&replica).map(|position| position.log_end),
        }
    }
}

#[cfg(test)]
mod tests;
