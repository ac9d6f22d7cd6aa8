//! What the operating system is told of each connection.

use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;
use tracing::debug;

use crate::config::BrokerConfig;

/// Sends at once what is small, and holds no more than the settings allow. A size that the system refuses is left as it
/// was: the connection works with any.
///
/// # Errors
/// The connection is gone.
pub fn prepare(stream: &TcpStream, config: &BrokerConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let sizes = [
        size(config.send_buffer)
            .map(|bytes| ("socket.send.buffer.bytes", socket.set_send_buffer_size(bytes))),
        size(config.receive_buffer)
            .map(|bytes| ("socket.receive.buffer.bytes", socket.set_recv_buffer_size(bytes))),
        (config.unsent_bytes > 0)
            .then(|| ("milena.socket.unsent.bytes", socket.set_tcp_notsent_lowat(config.unsent_bytes))),
    ];
    for (setting, result) in sizes.into_iter().flatten() {
        if let Err(error) = result {
            debug!(setting, %error, "not taken by the system");
        }
    }
    Ok(())
}

/// A size that is set; the system is left to choose for -1.
fn size(bytes: i32) -> Option<usize> {
    usize::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Values;

    #[tokio::test]
    async fn what_is_set_is_told_to_the_system() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&stream);
        let before = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        prepare(&stream, &BrokerConfig::new(Values::default())).unwrap();
        assert_eq!((socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()), before);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 262_144);

        let set = [
            ("socket.send.buffer.bytes", "40000"),
            ("socket.receive.buffer.bytes", "50000"),
            ("milena.socket.unsent.bytes", "5000"),
        ];
        let values = Values::new(set.map(|(name, value)| (name.to_owned(), value.into())).into()).unwrap();
        prepare(&stream, &BrokerConfig::new(values)).unwrap();
        // The kernel doubles what it is told, for its own bookkeeping.
        assert_eq!(
            (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()),
            (80_000, 100_000)
        );
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 5000);
    }
}
