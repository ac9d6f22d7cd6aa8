//! What Kubernetes tells a pod: two variables, and the files of its service account.

use std::{fs, net::IpAddr, path::Path};

use crate::{Access, Error, Token, Trust};

/// Variable with the API server's host.
pub const HOST: &str = "KUBERNETES_SERVICE_HOST";
/// Variable with its port.
pub const PORT: &str = "KUBERNETES_SERVICE_PORT";
/// Where the files of the service account are.
pub const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How a pod reaches the API server.
///
/// # Errors
/// When a file is missing, or host and port are no address.
pub fn access(host: &str, port: &str, mount: &Path) -> Result<Access, Error> {
    // An IPv6 address stands in brackets.
    let authority = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    if port.parse::<u16>().is_err() {
        return Err(Error::Address(authority));
    }
    let server = format!("https://{authority}").parse().map_err(|_| Error::Address(authority))?;
    let namespace = mount.join("namespace");
    let namespace = fs::read_to_string(&namespace).map_err(|error| Error::File { path: namespace, error })?;
    Ok(Access {
        trust: Trust::File(mount.join("ca.crt")),
        token: Token::File(mount.join("token")),
        namespace: namespace.trim().to_owned(),
        ..Access::to(server)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_knows_its_api_server_by_variables_and_files() {
        let mount = tempfile::tempdir().unwrap();
        assert!(matches!(access("10.0.0.1", "443", mount.path()), Err(Error::File { .. })));
        fs::write(mount.path().join("namespace"), "kafka\n").unwrap();
        for (host, port, server) in [
            ("10.0.0.1", "443", "https://10.0.0.1:443/"),
            ("fd00:0::1", "6443", "https://[fd00::1]:6443/"),
            ("kubernetes.default.svc", "443", "https://kubernetes.default.svc:443/"),
        ] {
            let access = access(host, port, mount.path()).unwrap();
            assert_eq!((access.server.to_string().as_str(), access.namespace.as_str()), (server, "kafka"));
        }
        assert!(matches!(access("10.0.0.1", "http", mount.path()), Err(Error::Address(_))));
    }
}
