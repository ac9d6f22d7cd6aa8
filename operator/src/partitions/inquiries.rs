//! Asks brokers how far their logs go, for recovery elections (rule 8).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena_crds::inquiry::{Answer, MAX_ASKED, MAX_FRAME, Question};
use milena_crds::partition::PartitionKey;
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

impl Inquiries {
    /// Asks what is wanted of each broker, unless it is being asked already.
    pub fn ask(
        &self,
        handle: &Arc<Handle>,
        processes: &BTreeMap<i32, Process>,
        wanted: BTreeMap<i32, Vec<(PartitionKey, i32)>>,
    ) {
        for (broker, partitions) in wanted {
            let address = processes.get(&broker).and_then(|process| address(process.pod_ip.as_deref()?));
            let Some(address) = address else { continue };
            if !self.brokers().insert(broker) {
                continue;
            }
            let (inquiries, handle) = (self.clone(), Arc::clone(handle));
            tokio::spawn(async move {
                for some in partitions.chunks(MAX_ASKED) {
                    let question = Question { partitions: some.iter().copied().collect() };
                    match timeout(PATIENCE, exchange(address, &question)).await {
                        Ok(Ok(answer)) if answer.broker == broker => hand_in(&handle, answer),
                        Ok(Ok(answer)) => {
                            tracing::warn!(
                                broker,
                                answered = answer.broker,
                                "another broker has its address"
                            );
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(broker, %error, "a broker does not say how far its logs go")
                        }
                        Err(_) => {
                            tracing::debug!(broker, "a broker does not say in time how far its logs go")
                        }
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

fn hand_in(handle: &Handle, answer: Answer) {
    if answer.reports.is_empty() {
        return;
    }
    let mut state = handle.state();
    for (key, report) in answer.reports {
        state.controller.heard(answer.broker, key, report);
    }
    drop(state);
    handle.wake_partitions.notify_one();
}

async fn exchange(address: std::net::SocketAddr, question: &Question) -> io::Result<Answer> {
    let Probed::Listens(mut stream) = probe(address).await else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    stream.write_all(&question.encode()).await?;
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        let text = format!("an answer of {length} bytes; {MAX_FRAME} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = Vec::new();
    stream.take(u64::try_from(length).unwrap_or_default()).read_to_end(&mut frame).await?;
    Answer::decode(&frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
