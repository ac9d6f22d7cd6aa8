//! `milena-broker stop 1`: one broker of a process that runs is stopped or started by a command, over a socket in the
//! data directory. So a failover can be watched on a laptop.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream as BlockingStream,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{debug, warn};

use crate::cli::Command;

/// The socket's name in the data directory.
const SOCKET: &str = "milena.sock";
/// Longest order, in bytes.
const MAX_ORDER: u64 = 64;
/// Who connects has so long to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a process that runs is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop one broker in order.
    Stop(i32),
    /// Start it again.
    Start(i32),
    /// Say which brokers run.
    List,
}

impl Order {
    fn parse(text: &str) -> Option<Order> {
        let mut words = text.split_whitespace();
        let order = match (words.next()?, words.next()) {
            ("stop", Some(id)) => Order::Stop(id.parse().ok()?),
            ("start", Some(id)) => Order::Start(id.parse().ok()?),
            ("brokers", None) => Order::List,
            _ => return None,
        };
        words.next().is_none().then_some(order)
    }
}

/// An order, and where its answer goes: what was done, or why not.
pub struct Request {
    pub order: Order,
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// Takes orders for as long as the process lives. Without the socket all else works.
pub fn orders(data_dir: &Path) -> mpsc::Receiver<Request> {
    let (sender, orders) = mpsc::channel(1);
    let path = data_dir.join(SOCKET);
    // Left by a process that was killed; the lock of the directory says that there is no other.
    let _ = std::fs::remove_file(&path);
    match UnixListener::bind(&path) {
        Ok(listener) => {
            tokio::spawn(listen(listener, sender, Remove(path)));
        }
        Err(error) => warn!(path = %path.display(), %error, "brokers cannot be stopped by command"),
    }
    orders
}

/// Removes the socket in the end.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn listen(listener: UnixListener, orders: mpsc::Sender<Request>, _remove: Remove) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = serve(stream, &orders).await {
                    debug!(%error, "an order was not taken");
                }
            }
            Err(error) => {
                warn!(%error, "cannot take orders");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, orders: &mpsc::Sender<Request>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(read.take(MAX_ORDER)).read_line(&mut line)).await??;
    let said = match Order::parse(&line) {
        None => Err("orders are: stop BROKER, start BROKER, brokers".to_owned()),
        Some(order) => {
            let (answer, answered) = oneshot::channel();
            let _ = orders.send(Request { order, answer }).await;
            answered.await.unwrap_or_else(|_| Err("the process is stopping".to_owned()))
        }
    };
    let text = match said {
        Ok(text) => format!("ok\n{text}\n"),
        Err(text) => format!("no\n{text}\n"),
    };
    write.write_all(text.as_bytes()).await
}

/// Gives an order to the process that runs on that data directory, and prints what it says.
///
/// # Errors
/// Nobody is there, or it was not done.
pub fn give(data_dir: &Path, command: &Command) -> Result<(), String> {
    let path = data_dir.join(SOCKET);
    let order = match command {
        Command::Stop { broker } => format!("stop {broker}\n"),
        Command::Start { broker } => format!("start {broker}\n"),
        Command::Brokers => "brokers\n".to_owned(),
    };
    let failed = |error: std::io::Error| {
        format!("no milena-broker runs on {}: {error} (see --data-dir)", data_dir.display())
    };
    let mut stream = BlockingStream::connect(&path).map_err(failed)?;
    let mut text = String::new();
    stream.write_all(order.as_bytes()).and_then(|()| stream.read_to_string(&mut text)).map_err(failed)?;
    match text.split_once('\n') {
        Some(("ok", said)) => {
            print!("{said}");
            Ok(())
        }
        Some((_, said)) => Err(said.trim_end().to_owned()),
        None => Err("the process ended before it was done".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        assert_eq!(Order::parse("stop 1\n"), Some(Order::Stop(1)));
        assert_eq!(Order::parse("start 12"), Some(Order::Start(12)));
        assert_eq!(Order::parse("brokers\n"), Some(Order::List));
        for strange in ["", "stop", "stop x", "stop 1 2", "brokers 1", "halt"] {
            assert_eq!(Order::parse(strange), None, "{strange}");
        }
    }
}
