//! Who is in the group: adding, removing, counting, choosing.

use std::collections::{BTreeSet, HashMap};

use super::member::Member;
use super::requests::{JoinResponse, JoinedMember, Protocol, SyncResponse};
use super::{Context, Group, State, subscription};
use crate::effects::Response;
use crate::{Config, Error};

impl<R> Group<R> {
    /// Whether a request that names this member comes from one of the group.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        group_instance_id: Option<&str>,
    ) -> Result<(), Error> {
        if let Some(instance_id) = group_instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(Error::UnknownMemberId),
                Some(current) if current != member_id => return Err(Error::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(Error::UnknownMemberId) }
    }

    /// Whether `group.max.size` leaves room. During a rebalance those count that wait, so that the last to
    /// come back to a group that has become too large are the ones sent away.
    pub(super) fn has_room_for(&self, member_id: &str, config: &Config) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.join.is_some()) || self.awaiting_join < config.max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < config.max_size
            }
        }
    }

    /// Whether someone with these protocols can share work with all others.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.is_offered_by_all(&protocol.name))
    }

    fn is_offered_by_all(&self, protocol: &str) -> bool {
        self.offers.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members prefer among those that all offer; among equals, the one that the leader
    /// prefers.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes = HashMap::<&str, usize>::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|protocol| self.is_offered_by_all(&protocol.name));
            if let Some(protocol) = choice {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader))?;
        let votes_for = |protocol: &&Protocol| votes.get(protocol.name.as_str()).copied().unwrap_or(0);
        // max_by_key takes the last of equals: the leader's list is read backwards.
        let winner = leader.protocols.iter().rev().max_by_key(votes_for)?;
        (votes_for(&winner) > 0).then(|| winner.name.clone())
    }

    /// What consumers subscribe to; nothing where that cannot be known.
    pub(super) fn find_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = Some(self.protocol_name.as_deref()?);
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// Whether deleting an offset of this topic would take it from a consumer. Where the subscriptions cannot
    /// be read, every topic counts.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(super) fn add(&mut self, member: Member<R>, protocol_type: String) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type);
        }
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.insert(instance_id.clone(), member.member_id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.member_id.clone());
        }
        count_offers(&mut self.offers, &member.protocols);
        self.awaiting_join += usize::from(member.join.is_some());
        self.pending_members.remove(&member.member_id);
        self.arm(member.session_deadline_ms);
        self.members.insert(member.member_id.clone(), member);
    }

    /// Takes a member out. Whatever it waits for is answered: with `error`.
    pub(super) fn remove(&mut self, member_id: &str, error: Error, cx: &mut Context<'_, R>) {
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        self.answer_join(member_id, JoinResponse::failed(error, String::new()), cx);
        self.answer_sync(member_id, SyncResponse::failed(error), cx);
        let Some(member) = self.members.remove(member_id) else { return };
        discount_offers(&mut self.offers, &member.protocols);
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Replaces what a member offers.
    pub(super) fn set_protocols(&mut self, member_id: &str, protocols: Vec<Protocol>) -> Vec<Protocol> {
        let Some(member) = self.members.get_mut(member_id) else { return Vec::new() };
        discount_offers(&mut self.offers, &member.protocols);
        count_offers(&mut self.offers, &protocols);
        std::mem::replace(&mut member.protocols, protocols)
    }

    /// A member's JoinGroup waits. One that waited before, from a connection given up, is sent away.
    pub(super) fn await_join(&mut self, member_id: &str, token: R, cx: &mut Context<'_, R>) {
        let Some(member) = self.members.get_mut(member_id) else {
            let response = JoinResponse::failed(Error::UnknownMemberId, member_id.to_owned());
            return cx.out.reply(token, Response::Join(response));
        };
        match member.join.replace(token) {
            Some(old) => {
                let response = JoinResponse::failed(Error::RebalanceInProgress, member_id.to_owned());
                cx.out.reply(old, Response::Join(response));
            }
            None => self.awaiting_join += 1,
        }
    }

    /// Answers a member's JoinGroup, if one waits.
    pub(super) fn answer_join(&mut self, member_id: &str, response: JoinResponse, cx: &mut Context<'_, R>) {
        let waiting = self.members.get_mut(member_id).and_then(|member| member.join.take());
        if let Some(token) = waiting {
            self.awaiting_join = self.awaiting_join.saturating_sub(1);
            cx.out.reply(token, Response::Join(response));
        }
    }

    /// Answers a member's SyncGroup, if one waits; says whether one did.
    pub(super) fn answer_sync(
        &mut self,
        member_id: &str,
        response: SyncResponse,
        cx: &mut Context<'_, R>,
    ) -> bool {
        let waiting = self.members.get_mut(member_id).and_then(|member| member.sync.take());
        let waited = waiting.is_some();
        if let Some(token) = waiting {
            cx.out.reply(token, Response::Sync(response));
        }
        waited
    }

    pub(super) fn all_joined(&self) -> bool {
        self.awaiting_join == self.members.len() && self.pending_members.is_empty()
    }

    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    /// The answer to a member of the current generation; the leader alone is told who the others are.
    pub(super) fn joined_response(&self, member_id: &str, skip_assignment: bool) -> JoinResponse {
        let protocol = self.protocol_name.as_deref();
        let members: Vec<JoinedMember> = if self.is_leader(member_id) {
            self.members.values().map(|member| member.joined(protocol)).collect()
        } else {
            Vec::new()
        };
        JoinResponse {
            error: None,
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment,
            member_id: member_id.to_owned(),
            members,
        }
    }
}

fn count_offers(offers: &mut HashMap<String, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        *offers.entry(protocol.name.clone()).or_default() += 1;
    }
}

fn discount_offers(offers: &mut HashMap<String, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        if let Some(count) = offers.get_mut(&protocol.name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                offers.remove(&protocol.name);
            }
        }
    }
}
