//! Sockets: accepts connections, cuts them into frames, answers the frames in order.

mod connection;
mod connections;
mod frames;
mod limits;
mod memory;
mod pipeline;
mod send;
mod socket;
mod turn;
mod wake_ups;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tracing::{debug, warn};

pub use connection::{Peer, write};
pub use limits::Limits;
pub use turn::Turn;
pub use wake_ups::WakeUps;

use self::connections::ConnectionLimits;
use crate::node::Broker;

/// Serves one listener until `stop` turns true; returns once every connection has ended.
pub async fn serve(listener: TcpListener, broker: Arc<Broker>, stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut asked = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut asked) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => admit(&mut connections, stream, from, &broker, &stop),
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn admit(
    connections: &mut JoinSet<()>,
    stream: TcpStream,
    from: SocketAddr,
    broker: &Arc<Broker>,
    stop: &watch::Receiver<bool>,
) {
    let config = broker.config();
    let limits = ConnectionLimits { all: config.max_connections, per_ip: config.max_connections_per_ip };
    let slot = match broker.limits.connections.admit(from.ip(), limits) {
        Ok(slot) => slot,
        Err(full) => {
            broker.metrics.refused_connections.inc();
            if broker.limits.connections.is_news() {
                warn!(%from, "connection refused: {full}; milena_refused_connections_total counts them");
            }
            return;
        }
    };
    let (broker, stop) = (broker.clone(), stop.clone());
    connections.spawn(async move {
        let _slot = slot;
        if let Err(error) = connection::run(stream, from, broker, stop).await {
            debug!(%from, %error, "connection ended");
        }
    });
}

/// Ends when the broker is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Out of file descriptors, most likely: to try again at once would only burn a processor.
async fn pause_after(error: &std::io::Error) {
    warn!(%error, "cannot accept a connection; trying again in 100 ms");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}
