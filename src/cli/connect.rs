//! `conclave connect`: to a node whose address somebody knows.

use super::{failure::Outcome, session::Session, status::called};
use clap::Parser;

/// Connects the node to another by its multiaddr
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave connect /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…")]
pub(crate) struct Connect {
    /// The multiaddr; without /p2p/… whoever answers there will do
    address: String,
}

impl Connect {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        session.output.show(&session.client()?.connect(&self.address).await?, |peer| {
            let who = peer.validator.as_ref().map_or_else(|| "the observer".into(), called);
            format!("connected to {who}, {}, at height {}", peer.peer_id, peer.height)
        })
    }
}
