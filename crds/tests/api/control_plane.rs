//! A kube-apiserver and its etcd, alone, in a temporary directory.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::{Client, Config};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long the API server may take to serve.
const START: Duration = Duration::from_secs(60);
const TOKEN: &str = "crds-test";
/// The P-256 key of RFC 6979, A.2.5: published, and good for nothing. The API server asks for some key.
const SCALAR: &str = "MDECAQEEIMmvqdhFunVRa1xXZ7G5PYsKN7XpLkyTHaR+7iuT3GFyoAoGCCqGSM49AwEH";

/// Runs until it is dropped.
pub struct ControlPlane {
    pub client: Client,
    _processes: Vec<Child>,
    _directory: TempDir,
}

/// The folder with the binaries `etcd` and `kube-apiserver`; without one the tests are skipped, but not in CI.
pub fn assets() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    if assets.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "KUBEBUILDER_ASSETS must name a folder with kube-apiserver"
        );
        eprintln!("skipped: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver");
    }
    assets
}

impl ControlPlane {
    pub async fn start(assets: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        let [client_port, peer_port, api_port] = free_ports();
        let etcd = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let flags = [
            format!("--data-dir={}", directory.path().join("etcd").display()),
            format!("--listen-client-urls={etcd}"),
            format!("--advertise-client-urls={etcd}"),
            format!("--listen-peer-urls={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ];
        let mut processes = vec![spawn(&assets.join("etcd"), directory.path(), &flags)];
        let flags = api_server_flags(directory.path(), &etcd, api_port);
        processes.push(spawn(&assets.join("kube-apiserver"), directory.path(), &flags));
        let mut config = Config::new(format!("https://127.0.0.1:{api_port}").parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(TOKEN.to_owned().into());
        let client = Client::try_from(config).unwrap();
        tokio::time::timeout(START, wait_until_ready(&client)).await.expect("kube-apiserver did not start");
        Self { client, _processes: processes, _directory: directory }
    }
}

async fn wait_until_ready(client: &Client) {
    while client.apiserver_version().await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn api_server_flags(directory: &Path, etcd: &str, port: u16) -> Vec<String> {
    let key = directory.join("key.pem");
    let (begin, end) = ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
    std::fs::write(&key, format!("{begin}\n{SCALAR}\n{end}\n")).unwrap();
    let tokens = directory.join("tokens.csv");
    std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
    vec![
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", directory.join("certs").display()),
        "--service-account-issuer=https://localhost".to_owned(),
        format!("--service-account-key-file={}", key.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        format!("--token-auth-file={}", tokens.display()),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
    ]
}

fn spawn(program: &Path, directory: &Path, flags: &[String]) -> Child {
    let name = program.file_name().unwrap().to_string_lossy().into_owned();
    let log = std::fs::File::create(directory.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
