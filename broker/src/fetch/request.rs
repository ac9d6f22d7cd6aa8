//! One fetch request, within a session or with one of its own.

use std::sync::Arc;

use kafka_protocol::{ResponseError, messages::FetchRequest};

use super::{Answered, Asking, Kept, Session, TopicKey, Wanted, cache::Worth, cache::next_epoch};
use crate::{
    api::Call,
    clock,
    node::View,
    partitions::{Mailbox, Reach},
};

/// From this version on topics are named by id (KIP-516).
const BY_TOPIC_ID: i16 = 13;
/// Epoch of a request that begins a session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that wants none, and ends the one that it names.
const FINAL_EPOCH: i32 = -1;

/// A request that is being answered.
pub struct Fetch {
    of: Of,
    /// Bytes found so far, once the request waits.
    found: Option<usize>,
}

enum Of {
    /// It names all its partitions. `keep`: it would like a session.
    Itself { session: Session, keep: bool },
    /// A session, whose epoch is this as long as no other request has taken over.
    Kept { session: Arc<Kept>, epoch: i32 },
}

impl Fetch {
    /// Finds or makes the request's session, and notes in it what the request names.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
    pub fn begin(call: &Call, request: &FetchRequest, has_sessions: bool) -> Result<Fetch, ResponseError> {
        let by_id = call.head.api_version >= BY_TOPIC_ID;
        let (id, epoch) = match has_sessions {
            true => (request.session_id, request.session_epoch),
            false => (0, FINAL_EPOCH),
        };
        let of = if matches!(epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            // A request that names all its partitions ends the session that it names.
            call.broker.fetch_sessions.remove(id);
            let mut session = Session::new(Reach::HighWatermark);
            each_wanted(request, by_id, |topic, index, wanted| {
                session.push(topic.clone(), index, wanted);
            });
            Of::Itself { session, keep: epoch == INITIAL_EPOCH }
        } else {
            go_on(call, request, by_id)?
        };
        Ok(Fetch { of, found: None })
    }

    /// What wakes this request while it waits.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        match &self.of {
            Of::Itself { session, .. } => session.mailbox().clone(),
            Of::Kept { session, .. } => session.state().session.mailbox().clone(),
        }
    }

    /// The answer, or none where too little is there and the request is to wait for its mailbox.
    ///
    /// # Errors
    /// INVALID_FETCH_SESSION_EPOCH where a newer request of the session has come.
    pub fn look(
        &mut self,
        view: &View,
        asking: &Asking,
        min_bytes: usize,
        is_late: bool,
    ) -> Result<Option<Vec<Answered>>, ResponseError> {
        let found = &mut self.found;
        match &mut self.of {
            Of::Itself { session, .. } => {
                let is_late = is_late || session.len() == 0;
                Ok(look(session, found, view, asking, Patience { min_bytes, is_late, all: true }))
            }
            Of::Kept { session, epoch } => {
                let mut state = session.state();
                if state.epoch != *epoch {
                    // It may have taken a wake-up that was meant for the newer one.
                    state.session.mailbox().pass_on();
                    return Err(ResponseError::InvalidFetchSessionEpoch);
                }
                let patience = Patience { min_bytes, is_late, all: false };
                Ok(look(&mut state.session, found, view, asking, patience))
            }
        }
    }

    /// Ends the request; the id of its session from now on, or 0.
    pub fn end(self, call: &Call, view: &View) -> i32 {
        match self.of {
            Of::Kept { session, .. } => session.id,
            Of::Itself { keep: false, .. } => 0,
            Of::Itself { session, keep: true } => {
                let by_id = call.head.api_version >= BY_TOPIC_ID;
                call.broker.fetch_sessions.admit(session, view, by_id, Worth::Consumer, clock::now_ms())
            }
        }
    }
}

/// A request of a session that there is.
fn go_on(call: &Call, request: &FetchRequest, by_id: bool) -> Result<Of, ResponseError> {
    let cache = &call.broker.fetch_sessions;
    let kept = cache.get(request.session_id).ok_or(ResponseError::FetchSessionIdNotFound)?;
    let mut state = kept.state();
    if state.epoch != request.session_epoch {
        return Err(ResponseError::InvalidFetchSessionEpoch);
    }
    if kept.by_topic_id != by_id {
        return Err(ResponseError::FetchSessionTopicIdError);
    }
    let session = &mut state.session;
    each_wanted(request, by_id, |topic, index, wanted| session.put(topic.clone(), index, wanted));
    each_forgotten(request, by_id, |topic, index| session.remove(topic, index));
    let size = session.len();
    if size == 0 {
        cache.remove(kept.id);
        return Ok(Of::Itself { session: Session::new(Reach::HighWatermark), keep: false });
    }
    if !cache.touch(&kept, size, clock::now_ms()) {
        return Err(ResponseError::FetchSessionIdNotFound);
    }
    // A request that still waits in this session has been given up by its client: it ends.
    session.mailbox().interrupt();
    state.epoch = next_epoch(request.session_epoch);
    let epoch = state.epoch;
    drop(state);
    Ok(Of::Kept { session: kept, epoch })
}

/// How long a request may still wait, and for what.
struct Patience {
    min_bytes: usize,
    is_late: bool,
    /// Whether the answer has every partition, news or not.
    all: bool,
}

fn look(
    session: &mut Session,
    found: &mut Option<usize>,
    view: &View,
    asking: &Asking,
    Patience { min_bytes, is_late, all }: Patience,
) -> Option<Vec<Answered>> {
    if let Some(before) = *found
        && !is_late
        && let Some(more) = session.look(view, asking, min_bytes > 1)
        && before + more < min_bytes
    {
        *found = Some(before + more);
        return None;
    }
    loop {
        let round = session.read(view, asking, all);
        if round.bytes >= min_bytes || round.is_urgent || is_late {
            return Some(session.commit(round, all));
        }
        *found = Some(round.bytes);
        if session.is_watching() {
            return None;
        }
        // Watched only from now on: looked at once more before the wait.
        session.watch_all(view);
    }
}

fn each_wanted(request: &FetchRequest, by_id: bool, mut work: impl FnMut(&TopicKey, i32, Wanted)) {
    for topic in &request.topics {
        let key = if by_id {
            TopicKey::Id(topic.topic_id)
        } else {
            TopicKey::Name(Arc::from(topic.topic.as_str()))
        };
        for asked in &topic.partitions {
            let wanted = Wanted {
                offset: asked.fetch_offset,
                max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
                leader_epoch: asked.current_leader_epoch,
                last_fetched_epoch: asked.last_fetched_epoch,
                log_start_offset: asked.log_start_offset,
            };
            work(&key, asked.partition, wanted);
        }
    }
}

fn each_forgotten(request: &FetchRequest, by_id: bool, mut work: impl FnMut(&TopicKey, i32)) {
    for topic in &request.forgotten_topics_data {
        let key = if by_id {
            TopicKey::Id(topic.topic_id)
        } else {
            TopicKey::Name(Arc::from(topic.topic.as_str()))
        };
        topic.partitions.iter().for_each(|index| work(&key, *index));
    }
}
