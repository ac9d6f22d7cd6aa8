//! Who this broker is in its cluster, and what it tells the others about itself.

use std::{collections::BTreeMap, path::PathBuf};

use milena_crds::{
    names,
    partition::{Generation, Offline},
};

use super::lease::record::{Phase, Wish};

/// The environment that the operator gives a broker's container.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KubernetesArgs {
    /// Name of the KafkaCluster; with it the broker takes its place in that cluster.
    #[arg(long, env = "MILENA_CLUSTER", hide = true)]
    pub cluster: Option<String>,
    /// Namespace of the KafkaCluster.
    #[arg(long, env = "MILENA_NAMESPACE", hide = true)]
    pub namespace: Option<String>,
    /// Name of this pod, `<cluster>-<broker id>`.
    #[arg(long, env = "MILENA_POD_NAME", hide = true)]
    pub pod_name: Option<String>,
    /// Address of this pod.
    #[arg(long, env = "MILENA_POD_IP", hide = true)]
    pub pod_ip: Option<String>,
    /// Node on which this pod runs.
    #[arg(long, env = "MILENA_NODE_NAME", hide = true)]
    pub node_name: Option<String>,
    /// Failure domain of that node.
    #[arg(long, env = "MILENA_RACK", hide = true)]
    pub rack: Option<String>,
    /// File of settings, `key=value` a line.
    #[arg(long, env = "MILENA_CONFIG_FILE", hide = true)]
    pub config_file: Option<PathBuf>,
}

/// A broker's place in its cluster, fixed for the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the KafkaCluster.
    pub cluster: String,
    /// Namespace of the KafkaCluster.
    pub namespace: String,
    /// Name of the pod, and of the broker's Lease.
    pub pod: String,
    /// Broker id (`node.id`): the number at the end of the pod's name.
    pub broker: i32,
    /// Address of the pod, where it is known.
    pub pod_ip: Option<String>,
    /// Failure domain (`broker.rack`), where there is one.
    pub rack: Option<String>,
}

impl Place {
    /// Reads what the operator put into the container's environment.
    ///
    /// # Errors
    /// Names the variable that is missing or does not fit.
    pub fn from_args(args: &KubernetesArgs) -> Result<Place, String> {
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let needed = |value: &Option<String>, variable: &str| {
            given(value).ok_or_else(|| {
                format!(
                    "{variable} is not set: in Kubernetes, brokers are started by the operator, which sets it"
                )
            })
        };
        let cluster = needed(&args.cluster, "MILENA_CLUSTER")?;
        let namespace = needed(&args.namespace, "MILENA_NAMESPACE")?;
        let pod = needed(&args.pod_name, "MILENA_POD_NAME")?;
        let broker = names::broker_of_pod(&cluster, &pod).ok_or_else(|| {
            format!("MILENA_POD_NAME is '{pod}'; a broker of this cluster is '{cluster}-' and a number")
        })?;
        Ok(Place { cluster, namespace, pod, broker, pod_ip: given(&args.pod_ip), rack: given(&args.rack) })
    }

    /// Host name that clients are told.
    pub fn host(&self) -> String {
        names::broker_host(&self.cluster, &self.namespace, self.broker)
    }

    /// Labels of the broker's Lease.
    pub fn labels(&self) -> BTreeMap<String, String> {
        [(names::CLUSTER, self.cluster.clone()), (names::BROKER, self.broker.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    /// Annotations of the broker's Lease. None of a value takes an annotation of a former life away.
    pub fn annotations(&self, generation: Generation, wish: &Wish) -> [(&'static str, Option<String>); 9] {
        let named = |partitions: &Offline| (!partitions.is_empty()).then(|| partitions.to_string());
        [
            (names::ENDPOINT, Some(format!("{}:{}", self.host(), names::KAFKA_PORT))),
            (names::POD_IP, self.pod_ip.clone()),
            (names::RACK, self.rack.clone()),
            (names::LOG_GENERATION, Some(generation.to_string())),
            (names::BROKER_VERSION, Some(env!("CARGO_PKG_VERSION").to_owned())),
            (names::DRAINING, (wish.phase != Phase::Serving).then(|| "true".to_owned())),
            (names::OFFLINE_PARTITIONS, named(&wish.offline)),
            (names::OLDER_STATES, named(&wish.older)),
            (names::BELIEVED_DEAD, None),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(pod: &str) -> KubernetesArgs {
        KubernetesArgs {
            cluster: Some("demo".into()),
            namespace: Some("kafka".into()),
            pod_name: Some(pod.into()),
            rack: Some(String::new()),
            ..KubernetesArgs::default()
        }
    }

    #[test]
    fn a_pod_has_its_number_in_its_name() {
        let place = Place::from_args(&args("demo-12")).unwrap();
        assert_eq!((place.broker, place.rack.as_deref()), (12, None));
        assert_eq!(place.host(), "demo-broker-12.kafka.svc");
    }

    #[test]
    fn what_is_missing_or_strange_is_named() {
        assert!(Place::from_args(&args("other-1")).unwrap_err().contains("other-1"));
        assert!(Place::from_args(&args("demo-01")).is_err());
        let nameless = KubernetesArgs { pod_name: None, ..args("demo-0") };
        assert!(Place::from_args(&nameless).unwrap_err().contains("MILENA_POD_NAME"));
    }
}
