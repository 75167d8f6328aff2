//! One module: what it says goes to the node, what the node has for it is written, message by message.

use super::{
    message::{FromModule, ReadError},
    outbox::{self, Inbox},
    server::NodeSide,
};
use conclave_protocol::announcements::{Command, ModuleId};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// Bytes that are read from the system at once.
const READ_AT_ONCE: usize = 16 << 10;

/// How long what is queued may still take to be written once a module has hung up its end.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// A module on its way to the node.
#[derive(Debug)]
pub enum FromConnection {
    /// It has connected; this is the way to it.
    Connected(ModuleId, outbox::Outbox),
    /// It wants something. [`Command::Left`] is the last of it, and always comes.
    Command(Command),
}

/// Serves a module until it leaves, breaks the protocol, or the node has had enough of it.
pub(super) async fn serve(stream: TcpStream, address: SocketAddr, module: ModuleId, node: NodeSide) {
    // Messages are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let (outbox, inbox) = outbox::pair();
    if node.commands.send(FromConnection::Connected(module, outbox)).await.is_err() {
        return;
    }
    tracing::debug!(%module, %address, "a module has connected");
    let (reader, writer) = stream.into_split();
    let Inbox { messages, bytes, farewell } = inbox;
    let mut writing = tokio::spawn(async move { write(writer, messages, &bytes).await });
    tokio::select! {
        ended = read(reader, module, &node) => match ended {
            Ok(()) => tracing::debug!(%module, "a module has left"),
            Err(error) => tracing::warn!(%module, %address, reason = %error, "a module is disconnected"),
        },
        told = farewell => {
            // The node has said so.
            let reason = told.unwrap_or_else(|_| "the node is stopping".into());
            tracing::debug!(%module, %address, reason, "hanging up on a module");
        }
        _ = &mut writing => tracing::debug!(%module, "a module no longer listens"),
    }
    // The node then lets go of the outbox, which ends the writing.
    let left = FromConnection::Command(Command::Left(module));
    let _ = node.commands.send(left).await;
    if !writing.is_finished() && tokio::time::timeout(LAST_WRITES, &mut writing).await.is_err() {
        writing.abort();
    }
}

async fn read(reader: OwnedReadHalf, module: ModuleId, node: &NodeSide) -> Result<(), ReadError> {
    let mut reader = BufReader::with_capacity(READ_AT_ONCE, reader);
    while let Some(message) = FromModule::read(&mut reader).await? {
        let sent = match message {
            FromModule::Validation { id, valid } => {
                let command = Command::Validate { module, notification: id, valid };
                node.validations.send(command).await.is_ok()
            }
            FromModule::Notify { data_type } => {
                let command = Command::Notify { module, data_type };
                node.commands.send(FromConnection::Command(command)).await.is_ok()
            }
            FromModule::Announce { ttl, data_type, data } => {
                let command = Command::Announce { module, ttl, data_type, data };
                node.commands.send(FromConnection::Command(command)).await.is_ok()
            }
        };
        if !sent {
            break;
        }
    }
    Ok(())
}

/// Writes until there is nobody who has anything to say, or nobody who listens. One write for each message: a reader
/// that takes a packet for a message gets what it expects.
async fn write(mut writer: OwnedWriteHalf, mut messages: mpsc::Receiver<Vec<u8>>, bytes: &AtomicUsize) {
    while let Some(message) = messages.recv().await {
        if writer.write_all(&message).await.is_err() {
            return;
        }
        bytes.fetch_sub(message.len(), Ordering::Relaxed);
    }
}
