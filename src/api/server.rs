//! Accepts connections and serves them until the node stops.

use super::{ApiConfig, App, ConfigError, MAX_CONNECTIONS, Metrics, routes};
use crate::node::handle::Handle;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// How long a connection may take to send the head of its next request: what idle and slow clients may hold.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes in the head of a request, and of an answer that waits to be read.
const CONNECTION_BUFFER: usize = 64 << 10;

/// How long open requests may take when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait when a connection cannot be accepted, for want of file descriptors above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The socket.
    #[error("the API's socket has no address: {0}")]
    Socket(#[from] std::io::Error),
}

/// Serves the API on `listener` until the node stops; then open requests get a moment to finish. The address that
/// counts for the rules of access is the listener's own, so that `config.listen` may have port 0.
///
/// # Errors
/// When the configuration must not be served; never later.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    mut config: ApiConfig,
    metrics: Metrics,
) -> Result<(), ServeError> {
    config.listen = listener.local_addr()?;
    config.check()?;
    let mut stopping = handle.stopping.subscribe();
    let router = routes::router(Arc::new(App::new(handle, &config, metrics)));
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let accept = async {
            let permit = connections.clone().acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = stopped(&mut stopping) => break,
            // Gathers what has ended, so that the set holds open connections only.
            Some(_) = open.join_next() => {}
            (permit, accepted) = accept => match accepted {
                Ok((stream, _)) => {
                    let (router, stopping) = (router.clone(), stopping.clone());
                    open.spawn(async move {
                        serve_connection(stream, router, stopping).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async { while open.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::debug!(connections = open.len(), "the API closes connections that are still open");
    }
    Ok(())
}

async fn serve_connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the API cannot set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the API ended");
    }
}

/// Returns when the node stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the node is gone.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
