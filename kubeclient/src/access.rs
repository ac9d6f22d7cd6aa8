//! Where the API server is, and who asks.

use std::{env, fmt, path::PathBuf, time::Duration};

use hyper::Uri;

use crate::{Error, kubeconfig, pod};

/// How long a connection may take, unless it is said.
const CONNECT: Duration = Duration::from_secs(30);

/// How the API server is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Its address; requests go below its path, where it has one.
    pub server: Uri,
    /// The name that its certificate has to bear, where it is not the address's.
    pub server_name: Option<String>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// What is sent with every request.
    pub token: Token,
    /// A certificate of the client.
    pub identity: Option<Identity>,
    /// The namespace of this process, or of the kubeconfig's context.
    pub namespace: String,
    /// How long connecting may take, TLS included.
    pub connect: Duration,
    /// How long nothing may come while an answer is awaited or a watch lasts; no limit if none.
    pub silence: Option<Duration>,
}

/// Whose certificates of the API server are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The authorities that this machine believes.
    System,
    /// These authorities, as PEM.
    Authorities(Vec<u8>),
    /// The authorities in this file, as PEM; it is read again when Kubernetes may have replaced it.
    File(PathBuf),
    /// Anyone's. For tests.
    Anyone,
}

/// How a client says who it is.
#[derive(Clone, Debug)]
pub enum Token {
    /// Not by a token.
    None,
    /// By this one.
    Fixed(Secret),
    /// By the one in this file, which is read again before Kubernetes lets it expire.
    File(PathBuf),
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and those between it and the authority's, as PEM.
    pub certificates: Vec<u8>,
    /// The key, as PEM.
    pub key: Secret,
}

/// A text that no log shows.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Access {
    /// An API server at that address, that nothing else is known of.
    pub fn to(server: Uri) -> Access {
        Access {
            server,
            server_name: None,
            trust: Trust::System,
            token: Token::None,
            identity: None,
            namespace: "default".to_owned(),
            connect: CONNECT,
            silence: None,
        }
    }

    /// As kubectl and pods find it: the kubeconfig that KUBECONFIG names, else `~/.kube/config` where there is one,
    /// else the service account of the pod.
    ///
    /// # Errors
    /// When there is none of them, or what there is cannot be used.
    pub fn find() -> Result<Access, Error> {
        if let Some(files) = env::var_os("KUBECONFIG").filter(|files| !files.is_empty()) {
            let files: Vec<_> = env::split_paths(&files).collect();
            return kubeconfig::read(&files);
        }
        if let Some(home) = env::var_os("HOME") {
            let file = PathBuf::from(home).join(".kube/config");
            if file.is_file() {
                return kubeconfig::read(&[file]);
            }
        }
        let host = env::var(pod::HOST).map_err(|_| Error::Unknown)?;
        let port = env::var(pod::PORT).map_err(|_| Error::Unknown)?;
        pod::access(&host, &port, pod::MOUNT.as_ref())
    }
}
