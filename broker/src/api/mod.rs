//! From a frame to the slices of its answer: one row an API in [`table`], one file an API beside it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use milena_protocol::{ApiKey, DecodeError, EncodeError, HeadError, RequestHead, ResponseFrame};
use tracing::debug;

use crate::{node::Broker, server::Peer};

mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod broker_rates;
mod config_changes;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod elect_leaders;
mod endpoint;
mod fetch;
mod find_coordinator;
mod group_text;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod table;

pub use table::TABLE;

/// A request that is being answered: who asks, what, in which version.
pub struct Call {
    /// The broker that answers.
    pub broker: Arc<Broker>,
    /// Who asks.
    pub peer: Arc<Peer>,
    /// Key, version, correlation id and client id.
    pub head: RequestHead,
    /// Size of the buffer that the request lies in, and that its parts hold.
    pub buffer: usize,
}

/// Why a connection is closed instead of answered: the client could not read any answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The frame has no readable request header.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The body does not follow the schema of its API and version.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// The answer could not be written in the version that was asked for: a fault of this broker.
    #[error(transparent)]
    Answer(#[from] EncodeError),
    /// No such API, or not in that version.
    #[error("API {key} version {version} is not served here")]
    Unsupported {
        /// API key.
        key: i16,
        /// Version of the request.
        version: i16,
    },
}

/// An answer ready for the wire, or none where the client wants no answer (acks=0).
pub type Answer = Result<Option<ResponseFrame>, CallError>;

/// Answers one frame, which lies in a buffer of that size.
pub fn answer(
    broker: &Arc<Broker>,
    peer: &Arc<Peer>,
    mut frame: Bytes,
    buffer: usize,
) -> BoxFuture<'static, Answer> {
    let head = match RequestHead::parse(&mut frame) {
        Ok(head) => head,
        Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
    };
    let (key, version) = (head.api_key, head.api_version);
    let call = Call { broker: broker.clone(), peer: peer.clone(), head, buffer };
    broker.metrics.requests.count(key);
    match table::find(key) {
        Some(row) if row.serves(version) => (row.handler)(call, frame),
        Some(row) if row.key == kafka_protocol::messages::ApiKey::ApiVersions => {
            Box::pin(std::future::ready(api_versions::unsupported(&call)))
        }
        _ => {
            debug!(key, version, client = ?call.head.client_id, "request for an API or version that is not served");
            Box::pin(std::future::ready(Err(CallError::Unsupported { key, version })))
        }
    }
}

/// Requests whose answers are small, or lie in files from the version on that is given.
const SMALL_ANSWERS: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 0),
    (ApiKey::Fetch, fetch::LEFT_IN_FILES),
    (ApiKey::ListOffsets, 0),
    (ApiKey::ApiVersions, 0),
    (ApiKey::FindCoordinator, 0),
    (ApiKey::OffsetCommit, 0),
    (ApiKey::JoinGroup, 0),
    (ApiKey::SyncGroup, 0),
    (ApiKey::Heartbeat, 0),
    (ApiKey::LeaveGroup, 0),
    (ApiKey::InitProducerId, 0),
];

/// Whether a frame is a Produce request, which has appended all that it brings when its answer is first waited for.
pub fn is_produce(frame: &[u8]) -> bool {
    frame.starts_with(&(ApiKey::Produce as i16).to_be_bytes())
}

/// Whether the answer to a frame may take much memory.
pub fn may_be_large(frame: &[u8]) -> bool {
    let Some([key @ .., _, _]) = frame.first_chunk::<4>() else { return false };
    let Some([_, _, version @ ..]) = frame.first_chunk::<4>() else { return false };
    let (key, version) = (i16::from_be_bytes(*key), i16::from_be_bytes(*version));
    !SMALL_ANSWERS.iter().any(|(small, from)| *small as i16 == key && version >= *from)
}

/// A client may wait this long at most, whatever it asks for: what waits holds memory.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The time that a client gives a request, within bounds.
fn request_wait(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).min(MAX_WAIT)
}
