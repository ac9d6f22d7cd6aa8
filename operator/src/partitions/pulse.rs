//! A connection held open to each broker: one that is reset and then refused means that the process is gone, long
//! before its Lease says so.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use milena_crds::names;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::roster::Process;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// Wait between attempts that tell nothing.
const RETRY: Duration = Duration::from_millis(250);

/// A process that is gone: broker id and broker epoch.
pub type Gone = (i32, i64);

/// One connection to each broker.
pub struct Pulses {
    held: BTreeMap<i32, (Process, JoinHandle<()>)>,
    tell: mpsc::Sender<Gone>,
}

impl Pulses {
    /// None yet; who is gone is told to `tell`.
    pub fn new(tell: mpsc::Sender<Gone>) -> Self {
        Self { held: BTreeMap::new(), tell }
    }

    /// Holds connections to these processes and to no others.
    pub fn hold(&mut self, processes: &BTreeMap<i32, Process>) {
        self.held.retain(|broker, (held, task)| {
            let keep = processes.get(broker) == Some(held);
            if !keep {
                task.abort();
            }
            keep
        });
        for (broker, process) in processes {
            let address = process.pod_ip.as_deref().and_then(address);
            if let (false, Some(address)) = (self.held.contains_key(broker), address) {
                let gone = (*broker, process.epoch);
                let task = tokio::spawn(follow(gone, address, self.tell.clone()));
                self.held.insert(*broker, (process.clone(), task));
            }
        }
    }
}

impl Drop for Pulses {
    fn drop(&mut self) {
        self.held.values().for_each(|(_, task)| task.abort());
    }
}

/// What an attempt to connect says.
#[derive(Debug)]
pub enum Answer {
    /// Somebody listens.
    Listens(TcpStream),
    /// The machine answers, and nobody listens.
    Refused,
    /// Nothing: the network, the machine, or an address that is none.
    Silence,
}

/// Where a broker listens.
pub fn address(pod_ip: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(pod_ip.parse().ok()?, names::KAFKA_PORT))
}

/// Tries to connect to a broker.
pub async fn probe(address: SocketAddr) -> Answer {
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Answer::Listens(stream),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Ok(Err(_)) | Err(_) => Answer::Silence,
    }
}

/// Holds a connection until the process is gone. A broker may close an idle connection: only a refusal after it says
/// that nobody is there any more.
pub async fn follow(process: Gone, address: SocketAddr, tell: mpsc::Sender<Gone>) {
    let mut connected = false;
    loop {
        match probe(address).await {
            Answer::Listens(stream) => {
                connected = true;
                let begun = Instant::now();
                until_closed(stream).await;
                // A broker that has all the connections that it may have closes further ones at once.
                if begun.elapsed() < RETRY {
                    sleep(RETRY).await;
                }
            }
            Answer::Refused if connected => {
                // The receiver ends with the task that looks after the cluster.
                let _ = tell.send(process).await;
                return;
            }
            Answer::Refused | Answer::Silence => sleep(RETRY).await,
        }
    }
}

/// Nothing is ever sent, so nothing comes back: what can be read is the end.
async fn until_closed(mut stream: TcpStream) {
    let mut byte = [0];
    while matches!(stream.read(&mut byte).await, Ok(1..)) {}
}
