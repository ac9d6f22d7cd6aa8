//! Against a server that speaks TLS, on a socket.

use std::{convert::Infallible, fs, path::Path, sync::Mutex};

use http_body_util::Full;
use hyper::{body::Bytes, header::RETRY_AFTER, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{Identity, Secret, Token, Trust};

/// An authority of certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn certify(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Identity { certificates: certificate.pem().into_bytes(), key: Secret(key.serialize_pem()) }
    }
}

/// A server that answers with a line of what it was asked; the first time it is too busy.
struct Server {
    access: Access,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Its certificate is for `name`; it believes clients of that authority alone.
    async fn start(authority: &Authority, name: &str, clients: Option<&Authority>) -> Server {
        let identity = authority.certify(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(identity.key.0.as_bytes()).unwrap();
        let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&identity.certificates).unwrap();
        let tls = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::default();
        tokio::spawn(serve(listener, tls, Arc::clone(&asked)));
        let access = Access {
            trust: Trust::Authorities(authority.pem()),
            ..Access::to(format!("https://127.0.0.1:{port}/below").parse().unwrap())
        };
        Server { access, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (tls, asked) = (tls.clone(), asked.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let answer = service_fn(|request: Request<Incoming>| {
                let header = |name| {
                    request.headers().get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap())
                };
                let line = format!("{} {}, {}", request.uri(), header(AUTHORIZATION), header(USER_AGENT));
                let mut asked = asked.lock().unwrap();
                asked.push(line.clone());
                let busy = asked.len() == 1 && line.contains("busy");
                let status = if busy { 429 } else { 200 };
                let answer = Response::builder().status(status).header(RETRY_AFTER, "0");
                let answer = answer.body(Full::new(Bytes::from(line))).unwrap();
                let silent = request.uri().path().ends_with("silent");
                async move {
                    if silent {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            // One answer a connection, so that the next shakes hands anew.
            let _ =
                http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The answer to a request for that path.
async fn ask(client: &kube::Client, path: &str) -> Result<String, kube::Error> {
    client.request_text(Request::get(path).body(Vec::new()).unwrap()).await
}

/// Whose files are read again every time.
fn connect(access: &Access) -> kube::Client {
    built(access, "test/1", Duration::ZERO).unwrap().build()
}

#[tokio::test]
async fn requests_go_below_the_servers_path_with_token_and_agent() {
    let server = Server::start(&Authority::new(), "127.0.0.1", None).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "one").unwrap();
    let client = connect(&Access { token: Token::File(token.path().to_owned()), ..server.access.clone() });
    assert_eq!(ask(&client, "/api?watch=1").await.unwrap(), "/below/api?watch=1 Bearer one, test/1");
    fs::write(token.path(), "two").unwrap();
    assert_eq!(ask(&client, "/api").await.unwrap(), "/below/api Bearer two, test/1");
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    let server = Server::start(&Authority::new(), "127.0.0.1", None).await;
    assert_eq!(ask(&connect(&server.access), "/busy").await.unwrap(), "/below/busy , test/1");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Server::start(&Authority::new(), "127.0.0.1", None).await;
    let client = connect(&Access { silence: Some(Duration::from_millis(100)), ..server.access.clone() });
    assert!(matches!(ask(&client, "/silent").await, Err(kube::Error::Service(_))));
    assert_eq!(ask(&client, "/api").await.unwrap(), "/below/api , test/1");
}

#[tokio::test]
async fn only_the_authorities_of_the_file_are_believed_also_when_they_change() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = Server::start(&new, "127.0.0.1", None).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let replace = |content: &[u8]| fs::write(Path::new(file.path()), content).unwrap();
    replace(&old.pem());
    let client = connect(&Access { trust: Trust::File(file.path().to_owned()), ..server.access.clone() });
    let refused = ask(&client, "/api").await.unwrap_err();
    assert!(format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
    replace(&[old.pem(), new.pem()].concat());
    ask(&client, "/api").await.unwrap();
    replace(b"");
    ask(&client, "/api").await.expect("what was read last holds");
    let empty = Access { trust: Trust::File(file.path().to_owned()), ..server.access.clone() };
    assert!(matches!(client_of(&empty), Err(Error::NoAuthorities(_))));
    ask(&connect(&Access { trust: Trust::Anyone, ..server.access.clone() }), "/api").await.unwrap();
}

fn client_of(access: &Access) -> Result<kube::Client, Error> {
    client(access, "test/1")
}

#[tokio::test]
async fn a_certificate_bears_the_name_that_is_asked_for() {
    let server = Server::start(&Authority::new(), "kubernetes", None).await;
    let refused = ask(&connect(&server.access), "/api").await.unwrap_err();
    assert!(format!("{refused:?}").contains("NotValidForName"), "{refused:?}");
    let named = Access { server_name: Some("kubernetes".to_owned()), ..server.access.clone() };
    ask(&connect(&named), "/api").await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = Server::start(&servers, "127.0.0.1", Some(&clients)).await;
    assert!(ask(&connect(&server.access), "/api").await.is_err());
    let identity = Some(clients.certify("me"));
    ask(&connect(&Access { identity, ..server.access.clone() }), "/api").await.unwrap();
    let identity = Some(Identity { certificates: b"no PEM".to_vec(), ..clients.certify("me") });
    assert!(matches!(client_of(&Access { identity, ..server.access.clone() }), Err(Error::Tls(_))));
}
