//! Probes and metrics over HTTP.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::debug;

/// Connections at a time: kubelet and a scraper or two.
const MAX_CONNECTIONS: usize = 32;

/// What is asked over HTTP.
pub trait Probed: Send + Sync + 'static {
    /// Why this process does not serve yet, or no longer; none where it does.
    fn not_ready(&self) -> Option<String>;
    /// All metrics in the Prometheus text format.
    fn metrics(&self) -> String;
}

/// Serves `/livez`, `/readyz` and `/metrics` for as long as the process lives.
pub async fn serve(listener: TcpListener, probed: Arc<dyn Probed>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let probed = probed.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let answer = service_fn(move |request| {
                let response = answer(probed.as_ref(), &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let http =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = http.await {
                debug!(%error, "HTTP connection ended");
            }
        });
    }
}

fn answer(probed: &dyn Probed, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET is served here\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match probed.not_ready() {
            None => text(StatusCode::OK, "ok\n".to_owned()),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        "/metrics" => {
            let mut response = text(StatusCode::OK, probed.metrics());
            let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(openmetrics));
            response
        }
        path => text(StatusCode::NOT_FOUND, format!("{path}: try /livez, /readyz or /metrics\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
