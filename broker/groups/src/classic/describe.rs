//! What people and admin clients see of a group.

use super::requests::Description;
use super::{Group, State};

impl<R> Group<R> {
    /// The group as DescribeGroups shows it.
    #[must_use]
    pub fn describe(&self) -> Description {
        // Between generations the members have not agreed on a protocol.
        let protocol = self.protocol_name.as_deref().filter(|_| self.state == State::Stable);
        Description {
            state: self.state.name(),
            protocol_type: self.protocol_type().to_owned(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.values().map(|member| member.described(protocol)).collect(),
        }
    }

    /// The protocol type, empty for a group that nobody has joined.
    #[must_use]
    pub fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }
}
