//! One replica: which states it acts on, and what it is by them (rules 2, 3, 8, 10 and 13).

use milena_crds::partition::{Member, PartitionState, Report};

use crate::{
    exchange::{Answer, FollowerFetch, LogView, Refusal},
    follower::Follower,
    leader::{Change, Leader, Leadership, Outcome, Served},
    rules::{Rule, holds},
};

/// One replica of a partition, on one broker, from its start to its stop.
#[derive(Clone, Debug)]
pub struct Replica {
    me: Member,
    /// Lower leader epochs are refused.
    lowest: i32,
    /// Highest leader epoch that an earlier life of this process may have acted in.
    former: i32,
    /// The generation changed at this start, and no state has been read past all caches since.
    needs_fresh: bool,
    /// The newest state that was acted on.
    state: Option<PartitionState>,
    role: Role,
    /// What it knew as leader when it stopped acting on its state, see [`Replica::suspend`].
    suspended: Option<Box<Leader>>,
}

/// What a replica is.
#[derive(Clone, Debug, Default)]
pub enum Role {
    /// Neither: nothing is known, nobody leads, or what is known is not to be acted on.
    #[default]
    Idle,
    /// It leads.
    Leader(Box<Leader>),
    /// It follows.
    Follower(Follower),
}

/// Where a state was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The store itself, past every cache, during this start.
    Store,
    /// A watch or a cache: it may be old.
    Cache,
    /// What this broker remembered of its former life.
    Memory,
}

/// What a replica needs to know when it takes a role.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// End of its log.
    pub log_end: i64,
    /// What it knows to be committed of it.
    pub high_watermark: i64,
    /// `min.insync.replicas` of the topic.
    pub min_in_sync: usize,
    /// Time in milliseconds.
    pub now_ms: i64,
}

/// What became of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is older than what is known, or a changed generation asks for a read of the store itself.
    Refused,
    /// The role stays; `moved` says whether the high watermark moved.
    Unchanged {
        /// The high watermark moved.
        moved: bool,
    },
    /// It leads from now on: the leader epoch has to be written to the log before anything is appended or served.
    Leads,
    /// It follows from now on.
    Follows,
    /// It does neither from now on.
    Idles,
}

impl Replica {
    /// A replica that has just started. `remembered` is the highest leader epoch that this broker may have acted in
    /// before (-1 for none); `changed` says that its log's generation is not that of its former life (rule 3).
    pub fn new(me: Member, remembered: i32, changed: bool) -> Replica {
        Replica {
            me,
            lowest: remembered,
            former: remembered,
            needs_fresh: changed,
            state: None,
            role: Role::Idle,
            suspended: None,
        }
    }

    /// What it is.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Its leader's side, where it leads.
    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// Its leader's side, where it leads.
    pub fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// Its follower's side, where it follows.
    pub fn follower(&self) -> Option<&Follower> {
        match &self.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        }
    }

    /// Its follower's side, where it follows.
    pub fn follower_mut(&mut self) -> Option<&mut Follower> {
        match &mut self.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        }
    }

    /// The newest state that it acted on.
    pub fn state(&self) -> Option<&PartitionState> {
        self.state.as_ref()
    }

    /// Whether it takes nothing but what was read from the store itself, past every cache (rule 3).
    pub fn needs_fresh(&self) -> bool {
        self.needs_fresh
    }

    /// The lowest leader epoch that it does not refuse.
    pub fn lowest_epoch(&self) -> i32 {
        self.lowest
    }

    /// A state of the partition, as it was read. Write it to disk before it is acted on (rule 13).
    pub fn learn(&mut self, state: &PartitionState, source: Source, conditions: Conditions) -> Learned {
        if state.leader_epoch < self.lowest || (self.needs_fresh && source != Source::Store) {
            return Learned::Refused;
        }
        let order = |state: &PartitionState| (state.leader_epoch, state.partition_epoch);
        if self.state.as_ref().is_some_and(|known| order(state) < order(known)) {
            return Learned::Refused;
        }
        self.needs_fresh = false;
        self.lowest = state.leader_epoch;
        let same = self
            .state
            .as_ref()
            .is_some_and(|known| (known.leader_epoch, known.leader) == (state.leader_epoch, state.leader));
        self.state = Some(state.clone());
        match &mut self.role {
            Role::Leader(leader) if same => Learned::Unchanged { moved: leader.committed(state) },
            Role::Follower(_) if same && state.replicas.contains(&self.me.broker) => {
                Learned::Unchanged { moved: false }
            }
            _ => self.take_role(state, conditions),
        }
    }

    fn take_role(&mut self, state: &PartitionState, conditions: Conditions) -> Learned {
        let Conditions { log_end, high_watermark, min_in_sync, now_ms } = conditions;
        let high_watermark = high_watermark.min(log_end);
        if let Some(mut leader) = self.suspended.take() {
            if (Some(self.me.broker), leader.epoch()) == (state.leader, state.leader_epoch) {
                leader.set_min_in_sync(min_in_sync);
                leader.committed(state);
                self.role = Role::Leader(leader);
                return Learned::Leads;
            }
            self.former = self.former.max(leader.epoch());
        }
        self.role = match state.leader {
            Some(leader) if leader == self.me.broker => {
                // An epoch that a former life may have led in: its proposals may be on their way (rule 10).
                let former = state.leader_epoch <= self.former && holds(Rule::ResumesWaiting);
                let how = if former { Leadership::Resumed } else { Leadership::Elected };
                Leader::new(self.me, state, how, min_in_sync, log_end, high_watermark, now_ms)
                    .map_or(Role::Idle, |leader| Role::Leader(Box::new(leader)))
            }
            Some(leader) if state.replicas.contains(&self.me.broker) => {
                Role::Follower(Follower::new(self.me, leader, state.leader_epoch, high_watermark))
            }
            _ => Role::Idle,
        };
        match self.role {
            Role::Idle => Learned::Idles,
            Role::Leader(_) => Learned::Leads,
            Role::Follower(_) => Learned::Follows,
        }
    }

    /// Some request or answer names that leader epoch. A higher one than is known ends leading and following until the
    /// state that it belongs to is learned; answers whether it did (rule 2).
    pub fn saw_epoch(&mut self, epoch: i32) -> bool {
        if epoch <= self.lowest {
            return false;
        }
        self.lowest = epoch;
        self.stand_down()
    }

    /// Neither leads nor follows until a state is learned; answers whether it did. It may have proposals under way, so
    /// in this same epoch it leads again as after a restart (rule 10).
    pub fn stand_down(&mut self) -> bool {
        if let Role::Leader(leader) = &self.role {
            self.former = self.former.max(leader.epoch());
        }
        !matches!(std::mem::take(&mut self.role), Role::Idle)
    }

    /// Neither leads nor follows while what it is shown is not to be acted on, and keeps what it knows as leader: it goes
    /// on where it stopped if it turns out to be the leader still; answers whether it did lead or follow.
    pub fn suspend(&mut self) -> bool {
        match std::mem::take(&mut self.role) {
            Role::Idle => false,
            Role::Follower(_) => true,
            Role::Leader(leader) => {
                self.suspended = Some(leader);
                true
            }
        }
    }

    /// A follower's fetch. A higher leader epoch than is known ends a leadership.
    pub fn fetch(&mut self, fetch: &FollowerFetch, log: &impl LogView, now_ms: i64) -> Served {
        if let Role::Leader(leader) = &mut self.role {
            let served = leader.fetch(fetch, log, now_ms);
            if matches!(served.answer, Answer::Refused(Refusal::HigherEpoch { .. })) {
                self.saw_epoch(fetch.leader_epoch);
            }
            return served;
        }
        self.saw_epoch(fetch.leader_epoch);
        Served { answer: Answer::Refused(Refusal::NotLeader), moved: false, may_join: false }
    }

    /// An attempt to change the ISR has ended. Answers whether the high watermark moved.
    pub fn answered(&mut self, change: &Change, outcome: Outcome) -> bool {
        let suspended = self.suspended.as_mut();
        let Some(leader) = (match &mut self.role {
            Role::Leader(leader) => Some(leader),
            _ => suspended,
        }) else {
            return false;
        };
        let moved = leader.answered(change, outcome);
        self.state = Some(leader.state().clone());
        moved
    }

    /// Tells how far the log goes, and refuses every leader epoch up to `stored`, that of the state for which a recovery
    /// election is held, from now on (rule 8). `None` until it has learned that state, or a later one, by which nobody
    /// leads: what is learned is on disk before it is acted on, so that a restart takes none of it back.
    pub fn report(&mut self, stored: i32, log: &impl LogView) -> Option<Report> {
        self.state.as_ref().filter(|state| state.leader.is_none() && state.leader_epoch >= stored)?;
        self.lowest = self.lowest.max(stored.saturating_add(1));
        self.stand_down();
        Some(Report {
            generation: self.me.generation,
            last_epoch: log.last_epoch(),
            log_start: log.log_start(),
            log_end: log.log_end(),
            refuses: self.lowest.saturating_sub(1),
        })
    }

    /// Refuses every leader epoch up to `stored`, and up to all that it may have acted in, from now on, and answers up to
    /// which: it has said which state it remembers as the newest, and acts on none that is not newer than all of those
    /// (rule 13). Asked again, by a late question or in another life, it refuses nothing more: what is put back by the
    /// first answer may be on its way, and its epoch may have been named to it already ([`Replica::saw_epoch`]).
    pub fn freeze(&mut self, stored: i32) -> i32 {
        if !holds(Rule::ReportFreezes) {
            return self.lowest.max(stored);
        }
        let acted_in = self.state.as_ref().map_or(self.former, |state| self.former.max(state.leader_epoch));
        self.lowest = self.lowest.max(stored.max(acted_in).saturating_add(1));
        self.stand_down();
        self.lowest.saturating_sub(1)
    }
}
