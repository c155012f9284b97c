//! Listening, and ending well.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    select,
    sync::{Semaphore, mpsc},
    time::sleep,
};

use super::{Site, Waits, host::Bound, router};
use crate::printer::line;

/// Connections at a time; more wait until they are taken in.
const MOST_CONNECTIONS: usize = 256;
/// Threads that wait for disks, one of which may translate.
const MOST_WAITING: usize = 16;
/// Before another try when no connection can be taken in, for example because too many files are open.
const BREATH: Duration = Duration::from_millis(200);

/// Serves a site until Ctrl-C or SIGTERM. Answers under way are finished, unless a second signal comes.
pub fn run(site: Site, addr: SocketAddr, on_listen: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = bind(addr)?;
    let runtime = runtime().context("cannot start the server")?;
    let served = runtime.block_on(async {
        let wishes = signals().context("cannot listen for signals")?;
        on_listen(listener.local_addr().context("cannot tell where the server listens")?);
        serve(listener, router(site), Waits::default(), wishes).await
    });
    // A translation that nobody waits for any more does not hold up the end.
    runtime.shutdown_background();
    served
}

pub fn bind(addr: SocketAddr) -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind(addr).with_context(|| format!("cannot listen on {addr}"))
}

/// One thread talks to all clients; what waits for disks or computes has threads of its own.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(MOST_WAITING).build()
}

/// Serves until the first wish to end, and ends at once on the second.
pub async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    waits: Waits,
    mut wishes: mpsc::Receiver<()>,
) -> Result<()> {
    listener.set_nonblocking(true).context("cannot listen without blocking")?;
    let listener = TcpListener::from_std(listener).context("cannot listen")?;
    let bound = Bound(listener.local_addr().context("cannot tell where the server listens")?);
    let service = TowerToHyperService::new(router.layer(Extension(bound)));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(waits.head);
    let (places, open) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), GracefulShutdown::new());
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            // Answers are written whole; waiting for more of them to fill a packet only takes time.
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>((stream, place))
        };
        let accepted = select! {
            accepted = next => accepted,
            _ = wishes.recv() => break,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = open.watch(protocol.serve_connection(TokioIo::new(stream), service.clone()));
                tokio::spawn(async move {
                    // Clients come and go as they like; an answer that did not reach one is no news.
                    drop(connection.await);
                    drop(place);
                });
            }
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                line(&format!("warning: cannot take in a connection: {error}"));
                sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    select! {
        () = open.shutdown() => {}
        () = sleep(waits.end) => {}
        _ = wishes.recv() => {}
    }
    Ok(())
}

/// Whether a client left before it was taken in.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput)
}

/// A message for each Ctrl-C and SIGTERM.
#[cfg(unix)]
fn signals() -> io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (sender, wishes) = mpsc::channel(1);
    tokio::spawn(async move {
        while select! { came = interrupt.recv() => came, came = terminate.recv() => came }.is_some() {
            if sender.send(()).await.is_err() {
                break;
            }
        }
    });
    Ok(wishes)
}

/// A message for each Ctrl-C.
#[cfg(not(unix))]
fn signals() -> io::Result<mpsc::Receiver<()>> {
    let (sender, wishes) = mpsc::channel(1);
    tokio::spawn(async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {} });
    Ok(wishes)
}
