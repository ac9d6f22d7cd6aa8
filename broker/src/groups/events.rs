//! What happens in groups, one log line each.

use milena_groups::Event;
use tracing::info;

/// Writes the events of one call.
pub fn log(events: Vec<Event>) {
    for event in events {
        match event {
            Event::Rebalancing { group_id, generation_id, reason, member_id } => {
                info!(
                    group = group_id,
                    generation = generation_id,
                    member = member_id,
                    "rebalancing: {reason}"
                );
            }
            Event::Generation { group_id, generation_id, members: 0 } => {
                info!(group = group_id, generation = generation_id, "empty");
            }
            Event::Generation { group_id, generation_id, members } => {
                info!(group = group_id, generation = generation_id, members, "a new generation");
            }
            Event::Stable { group_id, generation_id } => {
                info!(group = group_id, generation = generation_id, "stable");
            }
            Event::MemberRemoved { group_id, member_id, reason } => {
                info!(group = group_id, member = member_id, "member removed: {reason}");
            }
            Event::OffsetsExpired { group_id, count } => {
                info!(group = group_id, count, "offsets expired");
            }
        }
    }
}
