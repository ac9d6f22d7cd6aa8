//! The client of the Kubernetes API server, which the operator and the brokers share.
//!
//! [`Access`] says where the API server is and who asks: by a kubeconfig, or by what Kubernetes mounts into a pod.
//! [`builder`] makes kube's client of it. kube can do so itself, but then brings along what a pod has no use for:
//! runners of credential plugins, JSONPath for what they answer, another reader of YAML.

mod access;
mod client;
mod kubeconfig;
mod pod;
mod tls;
mod token;

use std::{io, path::PathBuf};

pub use access::{Access, Identity, Secret, Token, Trust};
pub use client::{builder, client};

/// Why there is no client of the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a kubeconfig nor a pod's environment.
    #[error(
        "no Kubernetes API server is known: set KUBECONFIG to a kubeconfig file, or run in a pod, where {} is set",
        pod::HOST
    )]
    Unknown,
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is no kubeconfig.
    #[error("{} is no kubeconfig: {error}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: serde_yaml::Error,
    },
    /// A kubeconfig lacks something, or asks for what is not supported.
    #[error("kubeconfig: {0}")]
    Kubeconfig(String),
    /// The API server's address is none.
    #[error("'{0}' is no address of an API server")]
    Address(String),
    /// A token that HTTP cannot carry.
    #[error("the token for the API server has characters that no token has")]
    Token,
    /// Certificates or a key cannot be read.
    #[error("{of}: no certificates or key in the format PEM: {error}")]
    Pem {
        /// Where they are from.
        of: String,
        /// Why.
        error: rustls::pki_types::pem::Error,
    },
    /// There is nobody to trust.
    #[error("{0}: there are no certificates of authorities")]
    NoAuthorities(String),
    /// TLS cannot be set up.
    #[error("TLS to the API server: {0}")]
    Tls(#[from] rustls::Error),
    /// Certificates of authorities that cannot check a server.
    #[error("TLS to the API server: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}
