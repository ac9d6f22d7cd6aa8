use std::{fs, path::PathBuf};

use super::*;

/// As kind writes it, with what certificates it may.
const KIND: &str = r#"
apiVersion: v1
kind: Config
preferences: {}
current-context: kind-kind
clusters:
- name: kind-kind
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Y2E=, extensions: [{name: x}]}
contexts:
- name: kind-kind
  context: {cluster: kind-kind, user: kind-kind, namespace: kafka}
users:
- name: kind-kind
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
"#;

fn read_texts(texts: &[&str]) -> Result<Access, Error> {
    let folder = tempfile::tempdir().unwrap();
    let write = |(i, text): (usize, &&str)| -> PathBuf {
        let path = folder.path().join(i.to_string());
        fs::write(&path, text).unwrap();
        path
    };
    let files: Vec<_> = texts.iter().enumerate().map(write).collect();
    read(&files)
}

fn message(text: &str) -> String {
    read_texts(&[text]).unwrap_err().to_string()
}

#[test]
fn a_cluster_of_kind() {
    let access = read_texts(&[KIND]).unwrap();
    assert_eq!(access.server, "https://127.0.0.1:6443/");
    assert_eq!(access.namespace, "kafka");
    assert!(matches!(access.trust, Trust::Authorities(pem) if pem == b"ca"));
    let identity = access.identity.unwrap();
    assert_eq!((identity.certificates.as_slice(), identity.key.0.as_str()), (&b"cert"[..], "key"));
    assert!(matches!(access.token, Token::None));
}

#[test]
fn a_token_and_no_check_of_the_server() {
    let text = KIND
        .replace("certificate-authority-data: Y2E=", "insecure-skip-tls-verify: true, tls-server-name: api")
        .replace("client-certificate-data: Y2VydA==, client-key-data: a2V5", "token: abc");
    let access = read_texts(&[&text]).unwrap();
    assert!(matches!(access.trust, Trust::Anyone));
    assert_eq!(access.server_name.as_deref(), Some("api"));
    assert!(matches!(&access.token, Token::Fixed(Secret(token)) if token == "abc"));
    assert!(!format!("{access:?}").contains("abc"), "a log would show it");
}

#[test]
fn files_lie_beside_the_kubeconfig() {
    let folder = tempfile::tempdir().unwrap();
    let text = KIND
        .replace("certificate-authority-data: Y2E=", "certificate-authority: ca.crt")
        .replace("client-certificate-data: Y2VydA==, client-key-data: a2V5", "tokenFile: /etc/token");
    fs::write(folder.path().join("config"), text).unwrap();
    let files = [folder.path().join("config")];
    assert!(matches!(read(&files), Err(Error::File { path, .. }) if path == folder.path().join("ca.crt")));
    fs::write(folder.path().join("ca.crt"), "ca").unwrap();
    let access = read(&files).unwrap();
    assert!(matches!(access.trust, Trust::Authorities(pem) if pem == b"ca"));
    assert!(matches!(access.token, Token::File(path) if path == Path::new("/etc/token")));
}

#[test]
fn the_first_of_several_files_counts() {
    let mine =
        "current-context: mine\ncontexts: [{name: mine, context: {cluster: kind-kind}}]\nusers: null\n";
    let access = read_texts(&[mine, KIND]).unwrap();
    assert_eq!((access.namespace.as_str(), access.identity.is_some()), ("default", false));
    let missing = read(&[PathBuf::from("/nowhere/one"), PathBuf::from("/nowhere/two")]).unwrap_err();
    assert!(missing.to_string().contains("no context is current"), "{missing}");
    assert!(matches!(read(&[PathBuf::from("/nowhere/one")]), Err(Error::File { .. })));
}

#[test]
fn what_is_missing_or_unsupported_is_named() {
    let user = "client-certificate-data: Y2VydA==, client-key-data: a2V5";
    for (from, to, says) in [
        (user, "exec: {command: aws}", "a credential plugin (exec) is not supported here"),
        (user, "auth-provider: {name: gcp}", "an auth-provider is not supported here"),
        (user, "username: me, password: x", "a username and password is not supported here"),
        (user, "as: somebody", "impersonation (as) is not supported here"),
        (user, "client-certificate-data: Y2VydA==", "a client certificate has no client key"),
        ("certificate-authority-data: Y2E=", "proxy-url: http://p", "proxy-url is not supported here"),
        ("server: \"https://127.0.0.1:6443\", ", "", "the cluster 'kind-kind' has no server"),
        ("https://127.0.0.1:6443", "https://a b", "'https://a b' is no address"),
        ("current-context: kind-kind", "current-context: x", "there is no context 'x'"),
        ("current-context: kind-kind", "", "no context is current"),
        ("cluster: kind-kind", "cluster: x", "there is no cluster 'x'"),
        ("Y2E=", "'!'", "is no kubeconfig"),
    ] {
        let text = KIND.replace(from, to);
        assert_ne!(text, KIND);
        let message = message(&text);
        assert!(message.contains(says), "{message}");
    }
}
