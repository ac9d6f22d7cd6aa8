//! Settings of Kafka's brokers that are none here, and why.

/// A setting of Kafka, or all with a prefix, that has no place here.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Name; with a dot at its end it stands for all that begin with it.
    pub name: &'static str,
    /// Why, and what to do.
    pub why: &'static str,
}

const ADDRESSES: &str = "addresses are given by --listen, and in Kubernetes by the operator; leave it out";
const DIRECTORY: &str =
    "log directories are given on the command line, and in Kubernetes by spec.storage; leave it out";
const IDENTITY: &str = "broker ids are given by --brokers, and in Kubernetes by spec.brokers; leave it out";
const QUORUM: &str = "there is no metadata quorum here; leave it out";
const SECURITY: &str = "encryption and authentication come with a later version; leave it out";
const PLUGIN: &str = "Java classes cannot be loaded here; leave it out";

const fn refused(name: &'static str, why: &'static str) -> Refusal {
    Refusal { name, why }
}

/// What Kafka has and is refused here by name.
pub const REFUSED: &[Refusal] = &[
    refused("advertised.listeners", ADDRESSES),
    refused("authorizer.class.name", SECURITY),
    refused("broker.heartbeat.interval.ms", QUORUM),
    refused("broker.id", IDENTITY),
    refused(
        "broker.rack",
        "in Kubernetes racks are the zones of nodes, and in one process they are given by --config broker.rack=a,b,c; \
         leave it out",
    ),
    refused("broker.session.timeout.ms", QUORUM),
    refused("client.quota.callback.class", PLUGIN),
    refused("config.providers", PLUGIN),
    refused("controller.", QUORUM),
    refused("delegation.token.", SECURITY),
    refused("early.start.listeners", ADDRESSES),
    refused("group.coordinator.rebalance.protocols", "the classic protocol alone works today; leave it out"),
    refused("inter.broker.listener.name", ADDRESSES),
    refused("kafka.metrics.", "metrics are at the HTTP endpoint /metrics; leave it out"),
    refused("listener.security.protocol.map", ADDRESSES),
    refused("listeners", ADDRESSES),
    refused("log.dir", DIRECTORY),
    refused("log.dirs", DIRECTORY),
    refused("metadata.", QUORUM),
    refused("metric.reporters", "metrics are at the HTTP endpoint /metrics; leave it out"),
    refused("metrics.", "metrics are at the HTTP endpoint /metrics; leave it out"),
    refused("node.id", IDENTITY),
    refused("principal.builder.class", PLUGIN),
    refused("process.roles", QUORUM),
    refused("remote.", "there is no tiered storage; leave it out"),
    refused("sasl.", SECURITY),
    refused("security.", SECURITY),
    refused("ssl.", SECURITY),
    refused("super.users", SECURITY),
    refused("zookeeper.", "there is no ZooKeeper here; leave it out"),
];

/// Why there is no setting of this name, if Kafka has one.
pub(super) fn refusal(name: &str) -> Option<&'static Refusal> {
    REFUSED.iter().find(|refusal| match refusal.name.strip_suffix('.') {
        Some(_) => name.starts_with(refusal.name),
        None => name == refusal.name,
    })
}
