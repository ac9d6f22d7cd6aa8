//! kube's client, over connections made here.

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, HeaderValue, USER_AGENT},
};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::client::{Body, ClientBuilder, middleware::BaseUriLayer, retry::RetryPolicy};
use rustls::pki_types::ServerName;
use tower::{BoxError, Layer as _, Service, retry::Retry};
use tracing::debug;

use crate::{
    Access, Error, tls,
    token::{Authorization, READ_AGAIN},
};

/// How long the API server may take no more of a request.
const WRITE: Duration = Duration::from_secs(295);

/// A client of that API server. `agent` is who it says it is: a name and a version.
///
/// # Errors
/// When tokens, certificates or keys cannot be read.
pub fn client(access: &Access, agent: &'static str) -> Result<kube::Client, Error> {
    Ok(builder(access, agent)?.build())
}

/// As [`client`], for who wants to lay something over it.
///
/// # Errors
/// When tokens, certificates or keys cannot be read.
pub fn builder(access: &Access, agent: &'static str) -> Result<ClientBuilder<impl Asks + use<>>, Error> {
    built(access, agent, READ_AGAIN)
}

/// What takes a request and gives the API server's answer.
pub trait Asks:
    Service<Request<Body>, Response = Response<Incoming>, Error = BoxError, Future: Send + 'static>
    + Send
    + 'static
{
}

impl<S> Asks for S where
    S: Service<Request<Body>, Response = Response<Incoming>, Error = BoxError, Future: Send + 'static>
        + Send
        + 'static
{
}

pub(crate) fn built(
    access: &Access,
    agent: &'static str,
    read_again: Duration,
) -> Result<ClientBuilder<impl Asks + use<>>, Error> {
    let requests = Requests {
        http: Client::builder(TokioExecutor::new()).build(connector(access, read_again)?),
        authorization: Arc::new(Authorization::new(&access.token, read_again)?),
        agent: HeaderValue::from_static(agent),
    };
    // An API server that is too busy says so, and when to come again.
    let retried = Retry::new(RetryPolicy::server_retry(), requests);
    let service = BaseUriLayer::new(access.server.clone()).layer(retried);
    Ok(ClientBuilder::new(service, access.namespace.clone()))
}

type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;

fn connector(access: &Access, read_again: Duration) -> Result<Connector, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let mut tls =
        HttpsConnectorBuilder::new().with_tls_config(tls::config(access, read_again)?).https_or_http();
    if let Some(name) = &access.server_name {
        let name = ServerName::try_from(name.clone()).map_err(|_| Error::Address(name.clone()))?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let mut connector = TimeoutConnector::new(tls.enable_http1().wrap_connector(tcp));
    connector.set_connect_timeout(Some(access.connect));
    connector.set_read_timeout(access.silence);
    connector.set_write_timeout(Some(WRITE));
    Ok(connector)
}

/// Sends requests, and with each who asks.
#[derive(Clone)]
struct Requests {
    http: Client<Connector, Body>,
    authorization: Arc<Authorization>,
    agent: HeaderValue,
}

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(token) = self.authorization.header() {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        request.headers_mut().entry(USER_AGENT).or_insert_with(|| self.agent.clone());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.http.request(request);
        Box::pin(async move {
            let answer = answer.await;
            match &answer {
                Ok(answer) => {
                    debug!(%method, path, status = answer.status().as_u16(), "asked the API server")
                }
                Err(error) => debug!(%method, path, %error, "the API server does not answer"),
            }
            Ok(answer?)
        })
    }
}
