//! The command line: a contract, also by environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use milena_coordination::kubernetes::KubernetesArgs;

/// Kafka for Kubernetes, in Rust: the broker.
///
/// Started without arguments it serves Kafka clients on localhost:9092 and keeps its data in ./milena-data.
/// No other process is needed. In a Kubernetes cluster the operator starts it, and it finds its settings there.
#[derive(Clone, Debug, Parser)]
#[command(name = "milena-broker", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Address on which Kafka clients are served. With --brokers N the next ones take the ports after it.
    #[arg(long, env = "MILENA_LISTEN", default_value = "127.0.0.1:9092", value_name = "HOST:PORT", value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Folder for all data; made where it is missing. Several, on a disk each, are separated by commas: new partitions
    /// go to the emptiest, and one that fails takes only its own partitions with it. The first one has the topics'
    /// objects. Kafka's setting log.dirs says the same.
    #[arg(
        long,
        global = true,
        env = "MILENA_DATA_DIR",
        default_value = "./milena-data",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub data_dir: Vec<PathBuf>,

    /// Number of brokers in this process, on consecutive ports [default: 1, or that of an applied KafkaCluster].
    #[arg(long, env = "MILENA_BROKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub brokers: Option<u16>,

    /// A broker setting by Kafka's own name, such as num.partitions=3. May be repeated; in the environment one a
    /// line.
    #[arg(long = "config", env = "MILENA_CONFIG", value_name = "KEY=VALUE", value_delimiter = '\n', value_parser = key_value)]
    pub config: Vec<(String, String)>,

    /// A YAML file of KafkaCluster and KafkaTopic objects, as kubectl apply takes it. May be repeated; in the
    /// environment one a line.
    #[arg(long, env = "MILENA_APPLY", value_name = "FILE", value_delimiter = '\n')]
    pub apply: Vec<PathBuf>,

    /// Racks of the brokers, in their order: Kafka's setting broker.rack, taken out of `config`.
    #[arg(skip)]
    pub racks: Vec<String>,

    /// Address for probes (/livez, /readyz) and Prometheus metrics (/metrics); none without it.
    #[arg(long, env = "MILENA_HTTP_LISTEN", value_name = "HOST:PORT", value_parser = listen_address)]
    pub http_listen: Option<SocketAddr>,

    /// What to log: error, warn, info, debug, trace, or by module as in milena_broker::api=debug.
    #[arg(long, env = "MILENA_LOG", default_value = "info", value_name = "LEVELS")]
    pub log: String,

    /// How to log: lines of text or of JSON.
    #[arg(long, env = "MILENA_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// What a process that runs already is to do; without a command a process starts.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Set by the operator: what a broker in a pod needs to know.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
}

/// Orders for a process that runs on the same data directory.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Stops one broker of a process with several: others take over what it leads. The others go on.
    Stop {
        /// Number of the broker.
        broker: i32,
    },
    /// Starts a broker that was stopped: it catches up, and is in sync again.
    Start {
        /// Number of the broker.
        broker: i32,
    },
    /// Says which brokers run.
    Brokers,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log collectors.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  milena-broker                                     a broker on localhost:9092
  milena-broker --brokers 3 --data-dir /tmp/three   three brokers, on ports 9092 to 9094
  milena-broker stop 1 --data-dir /tmp/three        one of them stops, the others take over; start 1 brings it back
  milena-broker --config num.partitions=3           new topics have three partitions
  milena-broker --brokers 3 --config broker.rack=a,b,c   three brokers, in a rack each
  milena-broker --apply topic.yaml                  with the topics of a file

Any Kafka client works; with Kafka's own tools, for instance:
  kafka-topics.sh --bootstrap-server localhost:9092 --create --topic sample --partitions 1

SIGTERM or Ctrl-C stops it cleanly.";

impl Cli {
    /// Takes Kafka's settings `log.dirs` and `log.dir`, where they are given, in the place of `--data-dir`.
    #[must_use]
    pub fn with_log_dirs(mut self) -> Cli {
        for name in ["log.dir", "log.dirs"] {
            let given = self.config.iter().rfind(|(key, value)| key == name && !value.is_empty());
            if let Some((_, value)) = given {
                self.data_dir = value.split(',').map(|path| PathBuf::from(path.trim())).collect();
            }
        }
        self.config.retain(|(key, _)| key != "log.dir" && key != "log.dirs");
        self
    }

    /// Takes Kafka's setting `broker.rack` out of the settings: one rack for all brokers of this process, or as many
    /// as there are brokers, separated by commas.
    #[must_use]
    pub fn with_racks(mut self) -> Cli {
        if let Some((_, value)) = self.config.iter().rfind(|(key, _)| key == "broker.rack") {
            self.racks = value.split(',').map(|rack| rack.trim().to_owned()).collect();
        }
        self.config.retain(|(key, _)| key != "broker.rack");
        self
    }

    /// The rack of the broker of that number in this process, where it has one.
    pub fn rack(&self, number: i32) -> Option<&str> {
        let rack = match self.racks.as_slice() {
            [all] => Some(all),
            each => usize::try_from(number).ok().and_then(|number| each.get(number)),
        };
        rack.map(String::as_str).filter(|rack| !rack.is_empty())
    }
}

/// `host:port`, where the host is an address or `localhost`.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("'{text}' is not HOST:PORT, such as 127.0.0.1:9092 or 0.0.0.0:9092");
    match text.strip_prefix("localhost:") {
        Some(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port.parse().map_err(|_| wrong())?))),
        None => text.parse().map_err(|_| wrong()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("'{text}' is not KEY=VALUE, such as num.partitions=3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_its_defaults() {
        let cli = Cli::parse_from(["milena-broker"]);
        assert_eq!(cli.listen, SocketAddr::from(([127, 0, 0, 1], 9092)));
        assert_eq!(cli.data_dir, [PathBuf::from("./milena-data")]);
        assert_eq!((cli.brokers, cli.config.len(), cli.apply.len()), (None, 0, 0));
    }

    #[test]
    fn directories_are_named_as_here_or_as_in_kafka() {
        let paths = |args: &[&str]| {
            let cli = Cli::parse_from([&["milena-broker"], args].concat()).with_log_dirs();
            assert!(cli.config.iter().all(|(key, _)| !key.starts_with("log.dir")));
            cli.data_dir
        };
        let both = [PathBuf::from("a"), PathBuf::from("b")];
        assert_eq!(paths(&["--data-dir", "a,b"]), both);
        assert_eq!(paths(&["--data-dir", "a", "--data-dir", "b"]), both);
        assert_eq!(paths(&["--data-dir", "z", "--config", "log.dirs=a, b"]), both);
        assert_eq!(paths(&["--config", "log.dir=z", "--config", "log.dirs=a,b"]), both);
        assert_eq!(paths(&["--config", "log.dir=a"]), both[..1]);
    }

    #[test]
    fn racks_are_one_for_all_or_one_for_each() {
        let racks = |args: &[&str]| {
            let cli = Cli::parse_from([&["milena-broker"], args].concat()).with_racks();
            assert!(cli.config.is_empty());
            (0..3).map(|number| cli.rack(number).map(str::to_owned)).collect::<Vec<_>>()
        };
        let named = |names: [&str; 3]| names.map(|name| Some(name.to_owned())).to_vec();
        assert_eq!(racks(&[]), [None, None, None]);
        assert_eq!(racks(&["--config", "broker.rack=a"]), named(["a", "a", "a"]));
        assert_eq!(racks(&["--config", "broker.rack=a, b,a"]), named(["a", "b", "a"]));
        assert_eq!(racks(&["--config", "broker.rack=a,,"]), [Some("a".to_owned()), None, None]);
    }

    #[test]
    fn settings_and_addresses_are_read() {
        let args = ["milena-broker", "--listen", "localhost:19092", "--config", "a=b=c", "--config", "d="];
        let cli = Cli::parse_from(args);
        assert_eq!(cli.listen.port(), 19092);
        assert_eq!(cli.config, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert!(Cli::try_parse_from(["milena-broker", "--config", "novalue"]).is_err());
        assert!(Cli::try_parse_from(["milena-broker", "--listen", "9092"]).is_err());
        assert!(Cli::try_parse_from(["milena-broker", "--brokers", "0"]).is_err());
    }
}
