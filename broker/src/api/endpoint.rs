//! A broker's address in an answer.

use kafka_protocol::protocol::StrBytes;

use super::Call;
use crate::{cluster::BrokerInfo, node::View};

/// Host, port and rack as the protocol has them.
pub struct Endpoint {
    /// Host name or address.
    pub host: StrBytes,
    /// Port.
    pub port: i32,
    /// Failure domain.
    pub rack: Option<StrBytes>,
}

/// How the client of this call reaches a broker.
pub fn of(call: &Call, id: i32, broker: &BrokerInfo) -> Endpoint {
    let (host, port) = call.broker.advertised.to(&call.peer, id, broker);
    let rack = broker.rack.as_deref().map(|rack| StrBytes::from_string(rack.to_owned()));
    Endpoint { host: StrBytes::from_string(host), port: i32::from(port), rack }
}

/// The live ones among some leaders, each once, for answers that tell where to go (KIP-951).
pub fn of_leaders(call: &Call, view: &View, mut leaders: Vec<i32>) -> Vec<(i32, Endpoint)> {
    leaders.sort_unstable();
    leaders.dedup();
    let known = |id| Some((id, of(call, id, view.image.live_broker(id)?)));
    leaders.into_iter().filter_map(known).collect()
}
