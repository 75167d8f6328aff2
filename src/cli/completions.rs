//! `conclave completions`: completions for a shell.

use super::failure::Outcome;
use clap::{CommandFactory, Parser};

/// Prints completions for a shell
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave completions bash > ~/.local/share/bash-completion/completions/conclave"
)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(self) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "conclave", &mut text);
        super::output::line(&String::from_utf8_lossy(&text))
    }
}
