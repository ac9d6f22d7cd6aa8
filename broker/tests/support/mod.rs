//! A broker as a process of its own, and the bytes that clients exchange with it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod three;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, CreateTopicsRequest, ProduceRequest, RequestHeader, TopicName,
        create_topics_request::CreatableTopic, produce_request::*,
    },
    protocol::{Encodable, Request, StrBytes},
};
use milena_records::BatchBuilder;
use tempfile::TempDir;
use uuid::Uuid;

/// A broker that ends with the test.
pub struct Process {
    child: Child,
    pub port: u16,
    pub data: TempDir,
    args: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Process {
    /// A broker on a free port with an empty data directory.
    pub fn start(args: &[&str]) -> Process {
        Process::start_with(args, &[])
    }

    /// The same, with these environment variables.
    pub fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Process {
        Process::start_at(free_ports(1), args, variables)
    }

    /// A process of so many brokers, on as many ports.
    pub fn start_several(brokers: u16, args: &[&str]) -> Process {
        Process::start_at(free_ports(brokers), args, &[])
    }

    fn start_at(port: u16, args: &[&str], variables: &[(&str, &str)]) -> Process {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let data = tempfile::tempdir().unwrap();
        let child = spawn(port, &data, &args, &variables);
        let process = Process { child, port, data, args, variables };
        process.wait();
        process
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not serve");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it outright and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.kill_change_restart(|_| {});
    }

    /// The same, with something done to its data directory meanwhile.
    pub fn kill_change_restart(&mut self, change: impl FnOnce(&Path)) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        change(self.data.path());
        self.child = spawn(self.port, &self.data, &self.args, &self.variables);
        self.wait();
    }

    /// Stops it with SIGTERM, and says whether it ended in order.
    pub fn terminate(&mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that the process holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.port).unwrap()
    }
}

/// The first of so many free ports in a row, which no other test of this process is given. They are below those that the
/// system gives to outgoing connections, which may take a port before its broker has it, and apart from other processes'.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 15_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 16;
    let free = |port: &u16| (*port..*port + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let candidate = |_| base + NEXT.fetch_add(count, Ordering::Relaxed) % 1_000;
    (0..300).map(candidate).find(free).expect("free ports")
}

fn spawn(port: u16, data: &TempDir, args: &[String], variables: &[(String, String)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_milena-broker"))
        .args(["--listen", &format!("127.0.0.1:{port}"), "--log", "warn"])
        .arg("--data-dir")
        .arg(data.path())
        .args(args)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    correlation: i32,
}

impl Client {
    /// A connection to a port of this machine.
    pub fn connect(port: u16) -> std::io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, correlation: 0 })
    }

    /// The same connection, for another thread.
    pub fn twin(&self) -> Client {
        Client { stream: self.stream.try_clone().unwrap(), correlation: self.correlation }
    }

    /// Sends a request; the answer is the body of the response in the same version.
    pub fn ask<R: Request + Encodable>(&mut self, version: i16, request: &R) -> R::Response {
        let mut body = self.ask_raw(version, request).expect("the connection was closed");
        let response =
            <R::Response as kafka_protocol::protocol::Decodable>::decode(&mut body, version).unwrap();
        assert!(body.is_empty(), "{} bytes are left of the answer in version {version}", body.len());
        response
    }

    /// Sends a request; the answer is the body's bytes, or none where the connection was closed.
    pub fn ask_raw<R: Request + Encodable>(&mut self, version: i16, request: &R) -> Option<Bytes> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.exchange(R::KEY, version, &body)
    }

    /// Sends a body of any bytes.
    pub fn exchange(&mut self, key: i16, version: i16, body: &[u8]) -> Option<Bytes> {
        self.correlation += 1;
        let api = ApiKey::try_from(key).unwrap();
        let frame = framed(key, version, self.correlation, body);
        self.stream.write_all(&frame).ok()?;
        let answer = self.receive()?;
        assert_eq!(answer[..4], self.correlation.to_be_bytes(), "answers come in the order of requests");
        let header = if api.response_header_version(version) >= 1 { 5 } else { 4 };
        Some(answer.slice(header..))
    }

    /// The next frame.
    pub fn receive(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut answer).ok()?;
        Some(Bytes::from(answer))
    }
}

/// The frame of a request.
pub fn frame<R: Request + Encodable>(version: i16, correlation: i32, request: &R) -> Vec<u8> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    framed(R::KEY, version, correlation, &body).to_vec()
}

fn framed(key: i16, version: i16, correlation: i32, body: &[u8]) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, ApiKey::try_from(key).unwrap().request_header_version(version)).unwrap();
    frame.extend_from_slice(body);
    let length = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A topic's or another name.
pub fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

/// Makes a topic of one replica; its id.
pub fn create(client: &mut Client, topic: &str, partitions: i32) -> Uuid {
    let asked = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(15_000);
    let answer = client.ask(7, &request);
    assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    answer.topics[0].topic_id
}

/// A batch of one record with a value of so many bytes.
pub fn batch(bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    builder.append(1_000, None, Some(&vec![b'x'; bytes]), &[]).unwrap();
    builder.build().unwrap()
}

/// Appends a batch with acks=1.
pub fn produce(client: &mut Client, topic: Uuid, partition: i32, batch: Bytes) {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_topic_id(topic).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(1).with_timeout_ms(1_000).with_topic_data(vec![topic]);
    let answer = client.ask(13, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}
