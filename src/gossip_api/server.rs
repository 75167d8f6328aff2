//! The socket that modules connect to.

use super::connection::{FromConnection, serve};
use conclave_protocol::announcements::{Command, ModuleId};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
};

/// Most modules at a time; with what may wait for each of them ([`super::outbox`]) this bounds their memory.
pub const MAX_MODULES: usize = 64;

/// Subscriptions and announcements that wait for the node; a module that has more to say waits.
pub const COMMAND_QUEUE: usize = 256;

/// Validations that wait for the node.
pub const VALIDATION_QUEUE: usize = 4096;

/// Pause after the system has refused a connection, which it may do while it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections send what modules say.
#[derive(Clone, Debug)]
pub(super) struct NodeSide {
    pub(super) commands: mpsc::Sender<FromConnection>,
    pub(super) validations: mpsc::Sender<Command>,
}

/// What modules say, for the node: validations apart, because they go first.
#[derive(Debug)]
pub struct Intake {
    /// Connections, subscriptions and announcements.
    pub commands: mpsc::Receiver<FromConnection>,
    /// Validations.
    pub validations: mpsc::Receiver<Command>,
}

/// An intake without a socket.
pub fn nobody() -> Intake {
    let (_, commands) = mpsc::channel(1);
    let (_, validations) = mpsc::channel(1);
    Intake { commands, validations }
}

/// Serves modules on `listener` until the node lets go of the intake.
pub fn start(listener: TcpListener) -> Intake {
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (validations, validation_queue) = mpsc::channel(VALIDATION_QUEUE);
    tokio::spawn(accept(listener, NodeSide { commands, validations }));
    Intake { commands: command_queue, validations: validation_queue }
}

/// Says where the socket is, and what it means if others reach it.
pub fn tell(address: SocketAddr) {
    tracing::info!(%address, "the gossip API is up");
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "THE GOSSIP API IS OPEN TO EVERYBODY WHO REACHES THIS ADDRESS: it has no authentication, so they all can \
             announce in this node's name and decide what it passes on; listen on 127.0.0.1 unless you want that"
        );
    }
}

async fn accept(listener: TcpListener, node: NodeSide) {
    let places = Arc::new(Semaphore::new(MAX_MODULES));
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.commands.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a module cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%address, limit = MAX_MODULES, "a module is refused: there are too many");
            continue;
        };
        next += 1;
        let (module, node) = (ModuleId(next), node.clone());
        tokio::spawn(async move {
            serve(stream, address, module, node).await;
            drop(place);
        });
    }
}
