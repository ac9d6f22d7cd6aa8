//! A follower whose exchange has ended and whose port refuses connections has no process any more: it leaves the ISR at
//! once, for records should not wait until its Lease expires. It is a hint, as all failure detection is (rule 9).

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};
use tracing::info;

use super::{absence::hung_up, fetcher::connect};
use crate::node::Broker;

/// A follower comes back within this time where only the connection has broken.
const GRACE: Duration = Duration::from_millis(30);
/// How often it is looked after.
const LOOKS: usize = 5;

/// Brokers without a process, as far as one can tell.
#[derive(Debug, Default)]
pub struct Suspects {
    brokers: Mutex<BTreeSet<i32>>,
    news: Notify,
}

impl Suspects {
    /// Ends at the next change.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// Who is suspected now.
    pub fn all(&self) -> BTreeSet<i32> {
        self.brokers.lock().clone()
    }

    /// It has called.
    pub fn clear(&self, broker: i32) {
        if self.brokers.lock().remove(&broker) {
            self.news.notify_one();
        }
    }

    fn add(&self, broker: i32) {
        if self.brokers.lock().insert(broker) {
            self.news.notify_one();
        }
    }
}

/// An exchange with a follower has ended: is it gone?
pub async fn look_after(broker: Arc<Broker>, follower: i32) {
    for _ in 0..LOOKS {
        sleep(GRACE).await;
        if broker.replication.has_session(follower) {
            return;
        }
        let Some(info) = broker.view().image.brokers.get(&follower).cloned() else { return };
        match connect(&info).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if !broker.replication.has_session(follower) {
                    info!(me = broker.id, follower, "its connection ended and its port refuses: it is gone");
                    broker.replication.suspects.add(follower);
                    hung_up(&broker, follower, error.kind());
                }
                return;
            }
            // Somebody is there, or nobody can tell.
            _ => {}
        }
    }
}
