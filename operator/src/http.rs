//! /livez, /readyz and /metrics.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::metrics::Metrics;

/// Most connections that are served at once; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What the endpoints tell.
#[derive(Clone)]
pub struct Pages {
    /// Whether every cache has been filled once.
    pub synced: watch::Receiver<bool>,
    /// The numbers of /metrics.
    pub metrics: Metrics,
}

/// Takes the address and serves it from a task of its own.
///
/// # Errors
/// When the address cannot be taken.
pub async fn serve(address: SocketAddr, pages: Pages) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(accept(listener, pages));
    Ok(bound)
}

async fn accept(listener: TcpListener, pages: Pages) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| std::future::ready(answer(&request, &pages)));
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection broke");
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, pages: &Pages) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, body) = page(request.method(), request.uri().path(), pages);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

fn page(method: &Method, path: &str, pages: &Pages) -> (StatusCode, &'static str, String) {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
    }
    match path {
        "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" if *pages.synced.borrow() => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "the first lists are not complete\n".to_owned()),
        "/metrics" => match pages.metrics.encode() {
            Ok(text) => (StatusCode::OK, OPEN_METRICS, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        _ => (StatusCode::NOT_FOUND, TEXT, "/livez, /readyz and /metrics are here\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn ready_only_once_synced() {
        let (synced, receiver) = watch::channel(false);
        let pages = Pages { synced: receiver, metrics: Metrics::default() };
        let address = serve("127.0.0.1:0".parse().unwrap(), pages).await.unwrap();
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        synced.send(true).unwrap();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.ends_with("# EOF\n"));
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    }
}
