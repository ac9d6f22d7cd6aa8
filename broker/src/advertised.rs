//! The address that a client is told for a broker.

use crate::{cluster::BrokerInfo, server::Peer};

/// First of the ports at which port-forwards to brokers are expected on a client's own machine.
const FORWARDED_PORT: u16 = 9092;

/// How brokers are named to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// As registered; where no host is registered, the address on which the client reached this broker.
    AsRegistered,
    /// As registered, except to clients that come over loopback: inside a pod that is `kubectl port-forward`,
    /// whose user has broker N on localhost at 9092 + N.
    ForwardedOnLoopback,
}

impl Advertised {
    /// Host and port of broker `id` for that client.
    pub fn to(self, peer: &Peer, id: i32, broker: &BrokerInfo) -> (String, u16) {
        if self == Advertised::ForwardedOnLoopback && peer.remote.ip().to_canonical().is_loopback() {
            let port = u16::try_from(id).ok().and_then(|id| FORWARDED_PORT.checked_add(id));
            return ("localhost".to_owned(), port.unwrap_or(broker.port));
        }
        match &broker.host {
            Some(host) => (host.to_string(), broker.port),
            None => (peer.local.ip().to_canonical().to_string(), broker.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn peer(remote: &str, local: &str) -> Peer {
        Peer { remote: remote.parse().unwrap(), local: local.parse().unwrap(), software: Default::default() }
    }

    fn broker(host: Option<&str>) -> BrokerInfo {
        BrokerInfo {
            host: host.map(Arc::from),
            port: 9092,
            rack: None,
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        }
    }

    #[test]
    fn a_port_forward_finds_every_broker_on_localhost() {
        let demo = broker(Some("demo-broker-1.default.svc"));
        let rule = Advertised::ForwardedOnLoopback;
        let forwarded = peer("127.0.0.1:40000", "127.0.0.1:9092");
        assert_eq!(rule.to(&forwarded, 1, &demo), ("localhost".into(), 9093));
        let mapped = peer("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:9092");
        assert_eq!(rule.to(&mapped, 2, &demo), ("localhost".into(), 9094));
        let pod = peer("10.98.1.7:40000", "10.98.1.8:9092");
        assert_eq!(rule.to(&pod, 1, &demo), ("demo-broker-1.default.svc".into(), 9092));
    }

    #[test]
    fn without_a_registered_host_the_client_is_told_what_it_reached() {
        let client = peer("192.168.1.20:40000", "192.168.1.5:9092");
        assert_eq!(Advertised::AsRegistered.to(&client, 0, &broker(None)), ("192.168.1.5".into(), 9092));
    }
}
