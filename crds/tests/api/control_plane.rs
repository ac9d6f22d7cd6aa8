//! A kube-apiserver and its etcd, alone, in a temporary directory. Tests of several crates include this file, and each
//! uses a part of it.
#![allow(dead_code)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use milena_crds::rules;
use milena_kubeclient::{Access, Secret, Token, Trust};
use tempfile::TempDir;

/// How long the API server may take to serve.
const START: Duration = Duration::from_secs(60);
const TOKEN: &str = "crds-test";
/// The P-256 key of RFC 6979, A.2.5: published, and good for nothing. The API server asks for some key.
const SCALAR: &str = "MDECAQEEIMmvqdhFunVRa1xXZ7G5PYsKN7XpLkyTHaR+7iuT3GFyoAoGCCqGSM49AwEH";

/// Runs until it is dropped.
pub struct ControlPlane {
    /// Of an administrator.
    pub access: Access,
    pub client: Client,
    assets: PathBuf,
    flags: Vec<String>,
    api_server: Option<Process>,
    _etcd: Process,
    directory: TempDir,
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
        let etcd_process = spawn(&assets.join("etcd"), directory.path(), &flags);
        let flags = api_server_flags(directory.path(), &etcd, api_port);
        let mut access = Access::to(format!("https://127.0.0.1:{api_port}").parse().unwrap());
        access.trust = Trust::Anyone;
        access.token = Token::Fixed(Secret(TOKEN.to_owned()));
        let client = milena_kubeclient::client(&access, "test").unwrap();
        let assets = assets.to_owned();
        let mut plane =
            Self { access, client, assets, flags, api_server: None, _etcd: etcd_process, directory };
        plane.start_api_server().await;
        plane
    }

    /// Starts the API server, again where it was stopped, and waits until it serves.
    pub async fn start_api_server(&mut self) {
        self.api_server =
            Some(spawn(&self.assets.join("kube-apiserver"), self.directory.path(), &self.flags));
        tokio::time::timeout(START, wait_until_ready(&self.client))
            .await
            .expect("kube-apiserver did not start");
    }

    /// A kubeconfig file of an administrator.
    pub fn kubeconfig(&self) -> String {
        let server = self.access.server.to_string();
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": server, "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "test", "user": { "token": TOKEN } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        })
        .to_string()
    }

    /// Kills the API server; what it stored stays in etcd.
    pub fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Installs the custom resources.
    pub async fn install(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for definition in rules::definitions() {
            let name = definition.name_any();
            api.patch(&name, &PatchParams::apply("test"), &Patch::Apply(&definition)).await.unwrap();
        }
        for definition in rules::definitions() {
            let established = kube::runtime::conditions::is_crd_established();
            let name = definition.name_any();
            let wait = kube::runtime::wait::await_condition(api.clone(), &name, established);
            tokio::time::timeout(Duration::from_secs(20), wait).await.expect("not established").unwrap();
        }
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

/// Killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(program: &Path, directory: &Path, flags: &[String]) -> Process {
    let name = program.file_name().unwrap().to_string_lossy().into_owned();
    let log = std::fs::File::create(directory.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display())))
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
