//! What the operating system is told of each connection.

use std::io;

use rustix::net::sockopt::set_tcp_congestion;
use socket2::SockRef;
use tokio::net::TcpStream;
use tracing::debug;

use crate::config::BrokerConfig;

/// What is sent within the machine meets no congestion. Where the system's choice is one that paces (bbr), each 64 KiB
/// would wait for a timer of its own; this one sends as fast as the other side reads, and is always there.
const WITHIN_THE_MACHINE: &str = "reno";

/// What the system takes of a connection's answers at least: with much less it would be woken for every packet.
const LEAST_UNSENT: usize = 16 * 1024;

/// Sends at once what is small, and holds no more than the settings allow of one connection of so many that are open. A
/// size that the system refuses is left as it was: the connection works with any.
///
/// # Errors
/// The connection is gone.
pub fn prepare(stream: &TcpStream, config: &BrokerConfig, open: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let sizes = [
        size(config.send_buffer)
            .map(|bytes| ("socket.send.buffer.bytes", socket.set_send_buffer_size(bytes))),
        size(config.receive_buffer)
            .map(|bytes| ("socket.receive.buffer.bytes", socket.set_recv_buffer_size(bytes))),
        unsent(config, open).map(|bytes| ("milena.socket.unsent.bytes", socket.set_tcp_notsent_lowat(bytes))),
    ];
    for (setting, result) in sizes.into_iter().flatten() {
        if let Err(error) = result {
            debug!(setting, %error, "not taken by the system");
        }
    }
    if stays_here(stream)?
        && let Err(error) = set_tcp_congestion(stream, WITHIN_THE_MACHINE)
    {
        debug!(%error, "the system's own congestion control is used within the machine, too");
    }
    Ok(())
}

/// Whether both ends are on this machine.
fn stays_here(stream: &TcpStream) -> io::Result<bool> {
    let (local, peer) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
    Ok(local == peer || peer.to_canonical().is_loopback())
}

/// Bytes that the system takes of a connection's answers before it can send them, where `open` connections are open. The
/// connections that hold most came when few others were there: of N that are stuck, the one that came as number K holds at
/// most the Kth part of what all may, so that all hold that many times the logarithm of N, and their least parts.
fn unsent(config: &BrokerConfig, open: usize) -> Option<u32> {
    let part = config.queued_unsent_bytes.checked_div(open).unwrap_or(usize::MAX).max(LEAST_UNSENT);
    let part = u32::try_from(part).unwrap_or(u32::MAX);
    (config.unsent_bytes > 0).then(|| config.unsent_bytes.min(part))
}

/// A size that is set; the system is left to choose for -1.
fn size(bytes: i32) -> Option<usize> {
    usize::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Values;

    fn config(set: &[(&str, &str)]) -> BrokerConfig {
        let values = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        BrokerConfig::new(Values::new(values).unwrap())
    }

    #[test]
    fn the_more_connections_the_less_of_each() {
        let defaults = config(&[]);
        let parts = [(0, 262_144), (256, 262_144), (512, 131_072), (4096, 16_384), (10_000, 16_384)];
        for (open, part) in parts {
            assert_eq!(unsent(&defaults, open), Some(part), "{open}");
        }
        let all: u64 = (1..=10_000).filter_map(|open| unsent(&defaults, open)).map(u64::from).sum();
        assert!(all < 350 << 20, "{all} bytes for 10,000 clients that read nothing");
        assert_eq!(unsent(&config(&[("milena.socket.unsent.bytes", "5000")]), 10_000), Some(5000));
        assert_eq!(unsent(&config(&[("milena.socket.unsent.bytes", "0")]), 10_000), None);
        assert_eq!(unsent(&config(&[("milena.queued.max.unsent.bytes", "1")]), 1), Some(16_384));
    }

    #[tokio::test]
    async fn what_is_set_is_told_to_the_system() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&stream);
        let before = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        prepare(&stream, &BrokerConfig::new(Values::default()), 1).unwrap();
        assert_eq!((socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()), before);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 262_144);
        assert_eq!(rustix::net::sockopt::tcp_congestion(&stream).unwrap(), "reno");

        let set = [
            ("socket.send.buffer.bytes", "40000"),
            ("socket.receive.buffer.bytes", "50000"),
            ("milena.socket.unsent.bytes", "5000"),
        ];
        prepare(&stream, &config(&set), 1).unwrap();
        // The kernel doubles what it is told, for its own bookkeeping.
        assert_eq!(
            (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()),
            (80_000, 100_000)
        );
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 5000);
    }
}
