//! `conclave bench`: measurements on a running network.

use super::{failure::Outcome, session::Session};
use clap::Parser;

/// Measures a running network
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave bench --help")]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

/// What can be measured.
#[derive(clap::Subcommand)]
enum Command {}

impl Bench {
    /// Runs the command.
    pub(crate) async fn run(self, _session: &Session) -> Outcome {
        match self.command {}
    }
}
