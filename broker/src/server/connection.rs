//! One connection: a request is read, answered and written before the next one is looked at, so that answers
//! leave in the order of their requests. What the client sends meanwhile waits in the socket. Produce requests that
//! wait for their acknowledgement do so side by side.

use std::{io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use futures::{FutureExt, poll};
use milena_crds::{inquiry, recall};
use milena_protocol::ResponseFrame;
use parking_lot::Mutex;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::watch,
    task::yield_now,
    time::{Instant, error::Elapsed, sleep, timeout},
};

use super::{
    frames::{Frame, FrameLimits, FrameReader},
    pipeline::Pipeline,
    send, socket,
    turn::Turn,
};
use crate::{api, node::Broker, replication, reports};

/// How often a connection whose request takes long is looked at: is anybody still there?
const STILL_THERE: Duration = Duration::from_secs(1);
/// How long a client may read nothing of its answer while memory for answers is short.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// The client's address.
    pub remote: SocketAddr,
    /// The address on which it reached this broker.
    pub local: SocketAddr,
    /// Client software and version, where it told (KIP-511).
    pub software: Mutex<Option<(String, String)>>,
}

/// What a connection waits for.
enum Event {
    /// The oldest request that waited has its answer.
    Answer(api::Answer),
    /// A request, or why there is none.
    Frame(Result<io::Result<Option<Frame>>, Elapsed>),
    /// The broker stops.
    Stop,
    /// A request takes long.
    Long,
}

/// Serves one connection to its end.
///
/// # Errors
/// What ended it, where that was not the client's orderly close or this broker's stop.
pub async fn run(
    stream: TcpStream,
    remote: SocketAddr,
    broker: Arc<Broker>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    socket::prepare(&stream, &broker.config(), broker.limits.connections.open())?;
    let peer = Arc::new(Peer { remote, local: stream.local_addr()?, software: Mutex::new(None) });
    let mut reader = FrameReader::default();
    let mut pipeline = Pipeline::default();
    let mut turn = Turn::default();
    // Nothing more is read: what waits is answered yet.
    let mut ends = false;
    while !ends || !pipeline.is_empty() {
        let config = broker.config();
        let may = FrameLimits { bytes: config.max_frame_bytes, progress: config.request_progress };
        let next = reader.next(&stream, &broker.limits, may);
        let event = tokio::select! {
            biased;
            answer = pipeline.next() => Event::Answer(answer),
            frame = timeout(config.max_idle, next), if !ends && pipeline.has_room() => Event::Frame(frame),
            () = super::stopped(&mut stop), if !ends => Event::Stop,
            () = sleep(STILL_THERE), if !pipeline.is_empty() => Event::Long,
        };
        match event {
            Event::Answer(reply) => send_reply(&stream, &broker, &mut turn, reply).await?,
            Event::Frame(Ok(frame)) => match frame? {
                Some(frame) if replication::is_exchange(&frame.bytes) => {
                    // Brokers are few, however many clients there are.
                    socket::prepare(&stream, &broker.config(), 1)?;
                    return replication::serve(stream, frame.bytes, broker, stop).await;
                }
                Some(frame) => {
                    let bytes = frame.bytes.len();
                    take(&stream, &peer, &broker, &mut pipeline, &mut turn, frame).await?;
                    turn.moved(bytes).await;
                }
                None => ends = true,
            },
            Event::Frame(Err(_)) if pipeline.is_empty() => return Err(idle(config.max_idle)),
            Event::Frame(Err(_)) => {}
            Event::Stop => return drain(&stream, &broker, &mut pipeline, &mut turn).await,
            Event::Long => {
                if is_closed(&stream) {
                    return Ok(());
                }
            }
        }
    }
    mid_frame(&reader)
}

/// Takes one request: answers it, or has it wait while the next one is read.
async fn take(
    stream: &TcpStream,
    peer: &Arc<Peer>,
    broker: &Arc<Broker>,
    pipeline: &mut Pipeline,
    turn: &mut Turn,
    frame: Frame,
) -> io::Result<()> {
    if !api::is_produce(&frame.bytes) {
        drain(stream, broker, pipeline, turn).await?;
        if inquiry::is_question(&frame.bytes) || recall::is_question(&frame.bytes) {
            return answer_inquiry(stream, broker, &frame.bytes).await;
        }
        return answer(stream, peer, broker, turn, frame).await;
    }
    let mut reply = api::answer(broker, peer, frame.bytes, frame.buffer);
    match poll!(&mut reply) {
        Poll::Ready(reply) if pipeline.is_empty() => send_reply(stream, broker, turn, reply).await,
        Poll::Ready(reply) => {
            pipeline.push_answered(reply);
            Ok(())
        }
        Poll::Pending => {
            pipeline.push(reply, frame.memory);
            Ok(())
        }
    }
}

/// Answers all that wait.
async fn drain(
    stream: &TcpStream,
    broker: &Broker,
    pipeline: &mut Pipeline,
    turn: &mut Turn,
) -> io::Result<()> {
    while !pipeline.is_empty() {
        tokio::select! {
            biased;
            reply = pipeline.next() => send_reply(stream, broker, turn, reply).await?,
            () = sleep(STILL_THERE) => if is_closed(stream) { return Err(io::ErrorKind::ConnectionReset.into()) },
        }
    }
    Ok(())
}

/// Answers one request.
async fn answer(
    stream: &TcpStream,
    peer: &Arc<Peer>,
    broker: &Arc<Broker>,
    turn: &mut Turn,
    frame: Frame,
) -> io::Result<()> {
    let _memory = frame.memory;
    if api::may_be_large(&frame.bytes) {
        // While answers that wait take all the memory there is for them, no other large one is made.
        broker.limits.responses.room().await;
    }
    let mut reply = api::answer(broker, peer, frame.bytes, frame.buffer);
    let reply = loop {
        tokio::select! {
            biased;
            reply = &mut reply => break reply,
            () = sleep(STILL_THERE) => if is_closed(stream) { return Err(io::ErrorKind::ConnectionReset.into()) },
        }
    };
    send_reply(stream, broker, turn, reply).await
}

/// Answers an operator that asks how far this broker's logs go, or what it remembers.
async fn answer_inquiry(stream: &TcpStream, broker: &Broker, question: &[u8]) -> io::Result<()> {
    let answer = reports::answer(broker, question);
    write_plain(stream, &answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?).await
}

async fn send_reply(
    stream: &TcpStream,
    broker: &Broker,
    turn: &mut Turn,
    reply: api::Answer,
) -> io::Result<()> {
    match reply {
        Ok(Some(frame)) => write(stream, frame, broker, turn).await,
        Ok(None) => Ok(()),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    matches!(stream.ready(Interest::READABLE).now_or_never(), Some(Ok(ready)) if ready.is_read_closed())
}

/// Writes a few bytes.
async fn write_plain(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a frame, and lets other connections have their turn meanwhile.
///
/// # Errors
/// What the socket or a file says, or that the other side reads nothing.
pub async fn write(
    stream: &TcpStream,
    mut frame: ResponseFrame,
    broker: &Broker,
    turn: &mut Turn,
) -> io::Result<()> {
    let mut waits = None;
    // While others go on its memory counts, until the client has taken it.
    let mut holds = |frame: &ResponseFrame| {
        waits.get_or_insert_with(|| broker.limits.responses.waiting()).holds(frame.memory());
    };
    // What is before and behind records in files goes into the same packets.
    let corked = frame.has_files() && send::cork(stream, true);
    while !frame.is_empty() {
        match send::write_some(stream, &mut frame) {
            Ok(written) => {
                if turn.ends(written) {
                    holds(&frame);
                    yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                holds(&frame);
                until_writable(stream, broker).await?;
            }
            Err(error) => {
                if let Some(path) = frame.file().and_then(|range| send::path_of(range.file())) {
                    broker.dirs.opened().iter().for_each(|dir| dir.read_failed(&path, &error));
                }
                return Err(error);
            }
        }
    }
    if corked {
        send::cork(stream, false);
    }
    Ok(())
}

/// Waits until the client has taken some bytes, which may take long unless memory is short.
async fn until_writable(stream: &TcpStream, broker: &Broker) -> io::Result<()> {
    let max_idle = broker.config().max_idle;
    let begun = Instant::now();
    loop {
        if let Ok(writable) = timeout(STILL_THERE, stream.writable()).await {
            return writable;
        }
        if begun.elapsed() >= max_idle {
            return Err(idle(max_idle));
        }
        if begun.elapsed() >= PATIENCE && broker.limits.responses.is_full() {
            let message = "memory for answers is short (milena.queued.max.response.bytes), and the client reads nothing";
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
    }
}

fn idle(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing moved for {limit:?} (connections.max.idle.ms)"))
}

fn mid_frame(reader: &FrameReader) -> io::Result<()> {
    if reader.is_mid_frame() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
