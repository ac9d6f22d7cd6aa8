//! Asks brokers what elections depend on: how far their logs go, for recovery elections (rule 8), and which states they
//! remember, after etcd was restored (rule 13).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena_crds::inquiry::{self, MAX_FRAME};
use milena_crds::partition::PartitionKey;
use milena_crds::recall::{self, Asked};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::pulse::{Answer as Probed, address, probe};
use super::roster::Process;
use crate::world::Handle;

/// Wait before a broker is asked again.
pub const PAUSE: Duration = Duration::from_millis(300);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Brokers that are being asked, each by one task.
#[derive(Clone, Default)]
pub struct Inquiries {
    under_way: Arc<Mutex<BTreeSet<i32>>>,
}

/// What is wanted of one broker.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How far its logs go: partitions, and the leader epochs that it is to refuse.
    pub logs: Vec<(PartitionKey, i32)>,
    /// What it remembers.
    pub states: Vec<(PartitionKey, Asked)>,
}

impl Inquiries {
    /// Asks what is wanted of each broker, unless it is being asked already.
    pub fn ask(
        &self,
        handle: &Arc<Handle>,
        processes: &BTreeMap<i32, Process>,
        wanted: BTreeMap<i32, Wanted>,
    ) {
        for (broker, wanted) in wanted {
            let address = processes.get(&broker).and_then(|process| address(process.pod_ip.as_deref()?));
            let Some(address) = address else { continue };
            if !self.brokers().insert(broker) {
                continue;
            }
            let (inquiries, handle) = (self.clone(), Arc::clone(handle));
            tokio::spawn(async move {
                for some in wanted.logs.chunks(inquiry::MAX_ASKED) {
                    let question = inquiry::Question { partitions: some.iter().copied().collect() };
                    if let Some(frame) = ask(broker, address, question.encode()).await {
                        hand_in_logs(&handle, broker, inquiry::Answer::decode(&frame));
                    }
                }
                for some in wanted.states.chunks(recall::MAX_ASKED) {
                    let question = recall::Question { partitions: some.iter().copied().collect() };
                    if let Some(frame) = ask(broker, address, question.encode()).await {
                        hand_in_states(&handle, broker, recall::Answer::decode(&frame));
                    }
                }
                // Whoever did not know yet is asked again.
                sleep(PAUSE).await;
                inquiries.brokers().remove(&broker);
                handle.wake_partitions.notify_one();
            });
        }
    }

    fn brokers(&self) -> std::sync::MutexGuard<'_, BTreeSet<i32>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one question; the frame of the answer, if one comes.
async fn ask(broker: i32, address: SocketAddr, question: Vec<u8>) -> Option<Vec<u8>> {
    match timeout(PATIENCE, exchange(address, &question)).await {
        Ok(Ok(frame)) => return Some(frame),
        Ok(Err(error)) => tracing::debug!(broker, %error, "a broker does not answer what it is asked"),
        Err(_) => tracing::debug!(broker, "a broker does not answer in time what it is asked"),
    }
    None
}

fn hand_in_logs(handle: &Handle, broker: i32, answer: Result<inquiry::Answer, inquiry::Unreadable>) {
    match answer {
        Ok(answer) if answer.broker == broker => {
            let mut state = handle.state();
            for (key, report) in answer.reports {
                state.controller.heard(broker, key, report);
            }
            drop(state);
            handle.wake_partitions.notify_one();
        }
        Ok(answer) => tracing::warn!(broker, answered = answer.broker, "another broker has its address"),
        Err(error) => tracing::debug!(broker, %error, "a broker does not say how far its logs go"),
    }
}

fn hand_in_states(handle: &Handle, broker: i32, answer: Result<recall::Answer, inquiry::Unreadable>) {
    match answer {
        Ok(answer) if answer.broker == broker => {
            let mut state = handle.state();
            for (key, remembered) in answer.partitions {
                state.controller.recalled(broker, answer.generation, key, remembered);
            }
            drop(state);
            handle.wake_partitions.notify_one();
        }
        Ok(answer) => tracing::warn!(broker, answered = answer.broker, "another broker has its address"),
        Err(error) => tracing::debug!(broker, %error, "a broker does not say what it remembers"),
    }
}

async fn exchange(address: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let Probed::Listens(mut stream) = probe(address).await else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    stream.write_all(question).await?;
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        let text = format!("an answer of {length} bytes; {MAX_FRAME} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = Vec::new();
    stream.take(u64::try_from(length).unwrap_or_default()).read_to_end(&mut frame).await?;
    Ok(frame)
}
