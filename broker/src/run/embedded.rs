//! One process with one broker or several, and no Kubernetes.

mod fleet;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_crds::{partition::Member, settings::Config};
use milena_storage::{LogDir, LogDirs, OpenMode, Owner, node_id};
use tokio::net::TcpListener;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Running, StopSignals, control, listen, serve_http};
use crate::{
    advertised::Advertised,
    cli::Cli,
    cluster::BrokerInfo,
    config::{BrokerConfig, Values},
    coordination::embedded::{
        Embedded,
        files::ObjectFiles,
        kafka::Adoption,
        manifest::{self, Manifest},
    },
    node::Broker,
    partitions::{Manager, generation},
};
use fleet::Fleet;

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(cli: Cli) -> Result<(), String> {
    let cli = cli.with_racks();
    let mut signals = StopSignals::install()?;
    let manifests = read_manifests(&cli)?;
    let given: Config =
        cli.config.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let given = Values::new(given).map_err(|error| format!("--config: {error}"))?;
    let mut listeners = vec![listen(cli.listen, "--listen").await?];
    // The lock of the first broker's directory guards the objects, too. One that Kafka wrote has a number already.
    let main_path = main_dir(&cli)?;
    let first_id = node_id(main_path).map_err(|error| error.to_string())?.unwrap_or(0);
    let first = open_dirs(&cli.data_dir, first_id, None)?;
    let main = first.at(main_path).ok_or_else(|| {
        let trouble = first.out_of_service().find(|(path, _)| *path == main_path).map(|(_, why)| why);
        format!("{}; the first log directory has the topics' objects", trouble.unwrap_or_default())
    })?;
    let embedded = Arc::new(open_cluster(main_path, main)?);
    embedded.set_first_broker(first_id);
    let adopted = prepare_objects(&embedded, main, manifests)?;
    let brokers = number_of_brokers(&cli, &embedded)?;
    check_racks(&cli, brokers)?;
    let values = settings(&embedded, &given)?;
    embedded.set_brokers(brokers, values.all().clone()).map_err(|error| error.to_string())?;
    let config = Arc::new(BrokerConfig::new(values));
    let mut dirs = vec![first];
    for number in 1..brokers {
        let id = first_id.saturating_add(number);
        listeners.push(listen(address(&cli, number)?, "--listen").await?);
        let paths: Vec<PathBuf> = cli.data_dir.iter().map(|dir| dir.join(format!("broker.{id}"))).collect();
        dirs.push(open_dirs(&paths, id, Some(embedded.cluster_id().to_string()))?);
    }
    // Who sees a broker serve may stop it: orders that come earlier wait.
    let mut orders = control::orders(main_path);
    let running = start_all(&cli, &embedded, &config, dirs, listeners, adopted).await?;
    let mut fleet = Fleet::new(cli.clone(), embedded.clone(), config, running);
    serve_http(&cli, fleet.probed()).await?;
    greet(&cli, &embedded, first_id, brokers);
    let outcome = loop {
        tokio::select! {
            signal = signals.wait() => {
                info!("{signal}: stopping");
                break Ok(());
            }
            (id, reason) = fleet.failed() => if let Err(reason) = fleet.lose(id, reason).await {
                break Err(reason);
            },
            Some(request) = orders.recv() => {
                // Whoever asked may be gone.
                let _ = request.answer.send(fleet.carry_out(request.order).await);
            }
            () = embedded.until_due() => fleet.decide(),
        }
    };
    fleet.stop_all().await;
    outcome
}

/// Topics of Apache Kafka, and which of them are new here.
type Adopted = Option<(Adoption, BTreeSet<Uuid>)>;

/// Takes over what Kafka left in the directory, and applies manifests: the cluster's before, which names it, topics'
/// after, which may be about those that are taken over.
fn prepare_objects(embedded: &Embedded, dir: &LogDir, manifests: Vec<Manifest>) -> Result<Adopted, String> {
    let Some(adoption) = embedded.look_for_kafka(dir)? else {
        return apply(embedded, &manifests).map(|()| None);
    };
    let (clusters, topics): (Vec<_>, Vec<_>) =
        manifests.into_iter().partition(|manifest| matches!(manifest, Manifest::Cluster(_)));
    apply(embedded, &clusters)?;
    let new = embedded.adopt(&adoption, dir)?;
    apply(embedded, &topics)?;
    Ok(Some((adoption, new)))
}

fn apply(embedded: &Embedded, manifests: &[Manifest]) -> Result<(), String> {
    for change in embedded.apply(manifests)? {
        println!("{change}");
    }
    Ok(())
}

fn read_manifests(cli: &Cli) -> Result<Vec<Manifest>, String> {
    let mut all = Vec::new();
    for file in &cli.apply {
        all.extend(manifest::read(file).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// The directory that has the objects.
fn main_dir(cli: &Cli) -> Result<&Path, String> {
    cli.data_dir.first().map(PathBuf::as_path).ok_or_else(|| "--data-dir names no folder".to_owned())
}

fn open_dirs(paths: &[PathBuf], id: i32, cluster_id: Option<String>) -> Result<Arc<LogDirs>, String> {
    let owner = Owner { cluster_id: cluster_id.as_deref(), node_id: id };
    LogDirs::open(paths, owner).map(Arc::new).map_err(|error| error.to_string())
}

/// Folder of the objects: a name that Apache Kafka passes over, where another one would keep it from starting.
const OBJECTS: &str = "__cluster_metadata-1";

fn open_cluster(data_dir: &Path, first: &LogDir) -> Result<Embedded, String> {
    let id = milena_storage::ids::decode(first.cluster_id()).ok_or_else(|| {
        format!("{}: cluster.id {} is no id", data_dir.join("meta.properties").display(), first.cluster_id())
    })?;
    let files = ObjectFiles::open(data_dir.join(OBJECTS)).map_err(|error| error.to_string())?;
    Embedded::open(files, id).map_err(|error| error.to_string())
}

/// As many as --brokers says, else the KafkaCluster.
fn number_of_brokers(cli: &Cli, embedded: &Embedded) -> Result<i32, String> {
    let wanted = embedded.cluster().spec.brokers;
    match cli.brokers.map(i32::from) {
        Some(given) if embedded.is_applied() && given != wanted => Err(format!(
            "--brokers {given} contradicts spec.brokers {wanted} of KafkaCluster '{}'; leave one of them out",
            embedded.cluster().metadata.name.unwrap_or_default()
        )),
        Some(given) => Ok(given),
        None if embedded.is_applied() => Ok(wanted.max(1)),
        None => Ok(1),
    }
}

fn check_racks(cli: &Cli, brokers: i32) -> Result<(), String> {
    match cli.racks.len() {
        0 | 1 => Ok(()),
        racks if i32::try_from(racks) == Ok(brokers) => Ok(()),
        racks => Err(format!(
            "--config broker.rack={} names {racks} racks, and there are {brokers} broker(s); give one for all, or one for \
             each",
            cli.racks.join(",")
        )),
    }
}

/// What suits a laptop better than Kafka's defaults: there a group need not wait for members that start late.
const LAPTOP: [(&str, &str); 1] = [("group.initial.rebalance.delay.ms", "0")];

/// Those of the KafkaCluster, with those of the command line on top.
fn settings(embedded: &Embedded, given: &Values) -> Result<Values, String> {
    let laptop = LAPTOP.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let laptop = Values::new(laptop).map_err(|error| error.to_string())?;
    let cluster =
        Values::new(embedded.cluster().spec.config).map_err(|error| format!("KafkaCluster: {error}"))?;
    Ok(laptop.with(&cluster).with(given))
}

fn address(cli: &Cli, id: i32) -> Result<std::net::SocketAddr, String> {
    let port = u16::try_from(id).ok().and_then(|id| cli.listen.port().checked_add(id));
    let port = port.ok_or_else(|| format!("--listen {}: there is no port for broker {id}", cli.listen))?;
    Ok(std::net::SocketAddr::new(cli.listen.ip(), port))
}

async fn start_all(
    cli: &Cli,
    embedded: &Arc<Embedded>,
    config: &Arc<BrokerConfig>,
    all_dirs: Vec<Arc<LogDirs>>,
    listeners: Vec<TcpListener>,
    adopted: Adopted,
) -> Result<Vec<Running>, String> {
    let alone = all_dirs.len() == 1;
    let mut starting: Vec<(Arc<Broker>, TcpListener)> = Vec::new();
    for (number, (dirs, listener)) in (0..).zip(all_dirs.into_iter().zip(listeners)) {
        let Some(dir) = dirs.opened().first() else { continue };
        let id = dir.node_id();
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let rack = cli.rack(number).map(Arc::from);
        let info = BrokerInfo {
            host: advertised_host(cli),
            port,
            rack,
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        };
        // A broker alone that was stopped in order leads on in the epochs that it had: nobody led or followed
        // meanwhile, and Kafka's next epochs, where the directory is shared with it, are above those.
        let in_order = dirs.opened().iter().all(|dir| dir.open_mode() == OpenMode::Clean);
        let same_life = in_order && (alone || dir.kafka_metadata().is_some());
        let epoch = embedded.register(id, info, generation(&dirs), same_life);
        let broker = Broker::new(id, Advertised::AsRegistered, config.clone(), embedded.clone(), dirs);
        broker.set_epoch(epoch);
        starting.push((Arc::new(broker), listener));
    }
    let decided = match (adopted, starting.first()) {
        (Some((adoption, new)), Some((broker, _))) => {
            let me = Member { broker: broker.id, generation: generation(&broker.dirs) };
            embedded.decide_adopted(&adoption, &new, me, broker.epoch())
        }
        _ => embedded.decide(),
    };
    if let Err(error) = decided {
        warn!(%error, "going on with what was decided before; the next change tries again");
    }
    let mut running = Vec::new();
    for (broker, listener) in starting {
        let manager = Manager::new(broker.id, broker.dirs.clone(), broker.coordination.image());
        running.push(Running::start(broker, manager, listener).await);
    }
    Ok(running)
}

/// A listener on all addresses tells each client the one that it reached; another one tells its own.
fn advertised_host(cli: &Cli) -> Option<Arc<str>> {
    match cli.listen.ip() {
        ip if ip.is_unspecified() => None,
        ip if ip.is_loopback() && ip.is_ipv4() => Some(Arc::from("localhost")),
        ip => Some(Arc::from(ip.to_string())),
    }
}

/// What a newcomer wants to know first.
fn greet(cli: &Cli, embedded: &Embedded, first: i32, brokers: i32) {
    let server = format!("localhost:{}", cli.listen.port());
    let server = if cli.listen.ip().is_loopback() { server } else { cli.listen.to_string() };
    let last = i32::from(cli.listen.port()) + brokers - 1;
    let ports = if brokers > 1 {
        format!(" (brokers {first} to {}, ports to {last})", first + brokers - 1)
    } else {
        String::new()
    };
    let several = if brokers > 1 {
        format!("Watch a failover with milena-broker stop {first}, and start {first}\n")
    } else {
        String::new()
    };
    println!(
        "Milena {} serves Kafka clients on {server}{ports}\n\
         Data is in {} ({} topics)\n\
         Try    kafka-topics.sh --bootstrap-server {server} --create --topic sample --partitions 1\n\
         or     kafka-console-producer.sh --bootstrap-server {server} --topic sample\n\
         and    kafka-console-consumer.sh --bootstrap-server {server} --topic sample --from-beginning\n\
{several}         Stop with Ctrl-C",
        env!("CARGO_PKG_VERSION"),
        cli.data_dir.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", "),
        embedded.topics(),
    );
}
