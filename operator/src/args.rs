//! The command line; each option also by environment, which is how the chart sets it.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Looks after KafkaClusters and KafkaTopics.
#[derive(Clone, Debug, Parser)]
#[command(name = "milena-operator", version, about)]
pub struct Args {
    /// Image of the brokers, where a KafkaCluster names none of its own.
    #[arg(long, env = "MILENA_BROKER_IMAGE", default_value = concat!("milena.dev/broker:", env!("CARGO_PKG_VERSION")))]
    pub broker_image: String,

    /// When the kubelet pulls that image: Always, IfNotPresent or Never.
    #[arg(long, env = "MILENA_BROKER_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub broker_image_pull_policy: PullPolicy,

    /// What the brokers log, as --log says it.
    #[arg(long, env = "MILENA_BROKER_LOG", default_value = "info")]
    pub broker_log: String,

    /// One line of text or of JSON for each event of a broker.
    #[arg(long, env = "MILENA_BROKER_LOG_FORMAT", default_value = "text")]
    pub broker_log_format: LogFormat,

    /// Namespaces to watch, separated by commas. Empty: all of them.
    #[arg(long, env = "MILENA_WATCH_NAMESPACES", value_delimiter = ',', default_value = "")]
    pub watch_namespaces: Vec<String>,

    /// Name of the Lease by which one of several replicas is chosen.
    #[arg(long, env = "MILENA_LEASE_NAME", default_value = "milena")]
    pub lease_name: String,

    /// Namespace of that Lease.
    #[arg(long, env = "MILENA_LEASE_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,

    /// What this replica calls itself in the Lease: the name of its pod.
    #[arg(long, env = "MILENA_IDENTITY", default_value = "milena-operator")]
    pub identity: String,

    /// What to log: error, warn, info, debug or trace, also by module (`info,milena_operator::cluster=debug`).
    #[arg(long, env = "MILENA_LOG", default_value = "info")]
    pub log: String,

    /// One line of text or of JSON for each event.
    #[arg(long, env = "MILENA_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "MILENA_HTTP_LISTEN", default_value = "127.0.0.1:8080")]
    pub http_listen: SocketAddr,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// The node must have it.
    Never,
}

impl PullPolicy {
    /// The name that Kubernetes gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors of logs.
    Json,
}

impl LogFormat {
    /// The name that the command line has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Args {
    /// The namespaces to watch; `None` for all.
    #[must_use]
    pub fn namespaces(&self) -> Option<Vec<String>> {
        let named: Vec<String> = self
            .watch_namespaces
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if named.is_empty() { None } else { Some(named) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"milena-operator").chain(line))
    }

    #[test]
    fn no_namespace_means_all() {
        assert_eq!(parse(&[]).unwrap().namespaces(), None);
        assert_eq!(parse(&["--watch-namespaces", ""]).unwrap().namespaces(), None);
        let two = parse(&["--watch-namespaces", "a, b"]).unwrap().namespaces();
        assert_eq!(two, Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn pull_policies_have_the_names_of_kubernetes() {
        for policy in PullPolicy::value_variants() {
            let line = ["--broker-image-pull-policy", policy.name()];
            assert_eq!(parse(&line).unwrap().broker_image_pull_policy, *policy);
        }
        assert!(parse(&["--broker-image-pull-policy", "Sometimes"]).is_err());
    }
}
