//! Names of the objects of a cluster. Others rely on them: see the architecture page.

use uuid::Uuid;

/// The pod of a broker, and its Lease: `demo-0`.
#[must_use]
pub fn pod(cluster: &str, broker: i32) -> String {
    format!("{cluster}-{broker}")
}

/// The broker id in the name of a pod or Lease of `cluster`.
#[must_use]
pub fn broker_of_pod(cluster: &str, pod: &str) -> Option<i32> {
    numbered(cluster, pod)
}

/// The headless Service that gives each pod its name, and the StatefulSet: `demo`.
#[must_use]
pub fn headless_service(cluster: &str) -> String {
    cluster.to_owned()
}

/// The Service that clients begin with: `demo-bootstrap`.
#[must_use]
pub fn bootstrap_service(cluster: &str) -> String {
    format!("{cluster}-bootstrap")
}

/// The ConfigMap with `broker.properties`: `demo`.
#[must_use]
pub fn config_map(cluster: &str) -> String {
    cluster.to_owned()
}

/// The Service of one broker, whose address stays while pods come and go: `demo-broker-0`.
#[must_use]
pub fn broker_service(cluster: &str, broker: i32) -> String {
    format!("{cluster}-broker-{broker}")
}

/// Host name of a broker inside the Kubernetes cluster, whatever its DNS domain: `demo-broker-0.default.svc`.
#[must_use]
pub fn broker_host(cluster: &str, namespace: &str, broker: i32) -> String {
    format!("{}.{namespace}.svc", broker_service(cluster, broker))
}

/// A KafkaPartitions object: `demo-0`.
#[must_use]
pub fn partitions_object(cluster: &str, chunk: u32) -> String {
    format!("{cluster}-{chunk}")
}

/// The number of a KafkaPartitions object of `cluster`.
#[must_use]
pub fn chunk_of_object(cluster: &str, object: &str) -> Option<u32> {
    numbered(cluster, object)
}

fn numbered<T: std::str::FromStr + ToString>(cluster: &str, name: &str) -> Option<T> {
    let digits = name.strip_prefix(cluster)?.strip_prefix('-')?;
    let number: T = digits.parse().ok()?;
    (number.to_string() == digits && !digits.starts_with('-')).then_some(number)
}

/// A UUID as Kafka writes topic and cluster ids: 22 characters of URL-safe Base64 (RFC 4648) without padding.
#[must_use]
pub fn kafka_uuid(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 21 times six bits and two more, which stand at the top of the last six.
    let bits = id.as_u128();
    (0..22u32)
        .map(|index| {
            let six = if index < 21 { bits >> (122 - 6 * index) } else { bits << 4 } & 0x3f;
            usize::try_from(six).ok().and_then(|six| ALPHABET.get(six)).map_or('A', |byte| char::from(*byte))
        })
        .collect()
}
