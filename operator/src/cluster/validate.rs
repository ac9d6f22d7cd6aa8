//! Step two: from what the user wrote to what can be built. Pure; everything is resolved here.

use std::collections::BTreeMap;

use milena_crds::cluster::{KafkaCluster, KafkaClusterSpec, MAX_BROKERS, MAX_VOLUMES};
use milena_crds::names;
use milena_crds::settings::check_broker_config;

use crate::args::PullPolicy;

/// Longest name of a KafkaCluster: the StatefulSet controller puts it, with a hash of ten characters, into a
/// label of the pods, and labels end at 63.
pub const MAX_NAME: usize = 52;

/// What the operator was installed with.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of the brokers.
    pub image: String,
    /// When it is pulled.
    pub pull_policy: PullPolicy,
    /// What brokers log.
    pub log: String,
    /// Form of their log lines: `text` or `json`.
    pub log_format: &'static str,
}

/// A KafkaCluster that can be built.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name, and the prefix of all its objects' names.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid, for owner references.
    pub uid: String,
    /// The specification, as it was written.
    pub spec: KafkaClusterSpec,
    /// Brokers to run: as many as the spec says, or more while one that is to go still holds partitions.
    pub brokers: i32,
    /// Volumes of each: as many as the spec says, or more where there are more, for none is taken away.
    pub volumes: i32,
    /// Image of the brokers.
    pub image: String,
    /// What the operator was installed with.
    pub defaults: Defaults,
}

/// Why a KafkaCluster cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The reason, as a condition names it.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Invalid {
    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}

impl Resolved {
    /// Settings of the brokers under Kafka's names.
    pub fn settings(&self) -> BTreeMap<&str, &str> {
        self.spec.config.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Whether a broker that the spec takes away has to stay.
    pub fn scale_down_blocked(&self) -> bool {
        self.brokers > self.spec.brokers
    }

    /// Whether the spec takes volumes away.
    pub fn fewer_volumes(&self) -> bool {
        self.volumes > self.spec.storage.volumes
    }
}

/// What a cluster has already and keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct InUse {
    /// One more than the highest broker id that still holds a replica.
    pub brokers: i32,
    /// Volumes of each broker.
    pub volumes: i32,
}

/// Checks a KafkaCluster and fills in what it leaves open.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn validate(cluster: &KafkaCluster, defaults: &Defaults, in_use: InUse) -> Result<Resolved, Invalid> {
    let metadata = &cluster.metadata;
    let (Some(name), Some(namespace), Some(uid)) = (&metadata.name, &metadata.namespace, &metadata.uid)
    else {
        return Err(Invalid::new("InvalidObject", "the object has no name, namespace or uid".to_owned()));
    };
    check_name(name)?;
    let spec = &cluster.spec;
    if !(0..=MAX_BROKERS).contains(&spec.brokers) {
        let message = format!("spec.brokers is {}; it must be from 0 to {MAX_BROKERS}", spec.brokers);
        return Err(Invalid::new("InvalidSpec", message));
    }
    if !(1..=MAX_VOLUMES).contains(&spec.storage.volumes) {
        let message =
            format!("spec.storage.volumes is {}; it must be from 1 to {MAX_VOLUMES}", spec.storage.volumes);
        return Err(Invalid::new("InvalidSpec", message));
    }
    check_broker_config(&spec.config)
        .map_err(|error| Invalid::new("InvalidConfig", format!("spec.config: {error}")))?;
    Ok(Resolved {
        name: name.clone(),
        namespace: namespace.clone(),
        uid: uid.clone(),
        spec: spec.clone(),
        brokers: spec.brokers.max(in_use.brokers.min(MAX_BROKERS)),
        volumes: spec.storage.volumes.max(in_use.volumes.min(MAX_VOLUMES)),
        image: spec.image.clone().unwrap_or_else(|| defaults.image.clone()),
        defaults: defaults.clone(),
    })
}

/// A Service's name begins with a letter and has no dots (RFC 1035), and one of ours has the cluster's name.
fn check_name(name: &str) -> Result<(), Invalid> {
    let legal = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if legal && begins && !name.ends_with('-') && name.len() <= MAX_NAME {
        return Ok(());
    }
    let host = names::headless_service(name);
    let message = format!(
        "the name cannot be that of a Service ({host}): use at most {MAX_NAME} lower case letters, digits and \
         hyphens, with a letter first; create the KafkaCluster anew under such a name"
    );
    Err(Invalid::new("InvalidName", message))
}
