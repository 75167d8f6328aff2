//! `conclave gossip`: announcements for people and scripts, over a node's gossip API like any other local program.

mod announce;
mod listen;

use super::{failure::Outcome, session::Session};
use clap::{Parser, Subcommand};

/// Announces data to the network, and listens to what others announce
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave gossip listen 1337\n  conclave gossip announce 1337 'lunch is ready'"
)]
pub(crate) struct Gossip {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Announce(announce::Announce),
    Listen(listen::Listen),
}

impl Gossip {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Command::Announce(command) => command.run(session).await,
            Command::Listen(command) => command.run(session).await,
        }
    }
}
