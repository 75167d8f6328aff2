//! The command line. One file for each command or group of commands; each says `--help` with an example.
//!
//! Results go to standard output (`output.rs`), progress and errors to standard error (`progress.rs`, `failure.rs`); the
//! exit code is 0 only on success, 2 for a command line that cannot be understood, and 1 for everything else.

mod archive;
mod bench;
mod blocks;
mod completions;
mod connect;
mod console;
mod discovery_flags;
mod failure;
mod gather;
mod genesis;
mod gossip;
mod governance;
mod init;
mod key;
mod load;
mod log_limit;
mod logging;
mod misbehaviour_flags;
mod multiaddr;
mod output;
mod poll;
mod probe;
mod progress;
mod run;
mod say;
mod sending;
mod session;
mod sim;
mod status;
mod swarm;
mod testnet;
mod tracker;
mod tx;
mod up;
mod watch;

use clap::{Parser, Subcommand};
use failure::Outcome;
use session::{Global, Session};
use std::process::ExitCode;

/// Decide together without a server: votes, records and governance among parties who do not trust one another
#[derive(Parser)]
#[command(
    name = "conclave",
    version,
    propagate_version = true,
    after_help = "Example, a network of four validators on this machine and an election on it:\n  \
                  conclave up                                  (keep it running)\n  \
                  conclave poll import election.soi            (in another terminal)"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Up),
    Init(init::Init),
    Key(key::Key),
    Genesis(Box<genesis::Genesis>),
    Testnet(testnet::Testnet),
    Run(Box<run::Run>),
    Tracker(tracker::Tracker),
    Status(status::ShowStatus),
    Peers(status::ShowPeers),
    Validators(status::ShowValidators),
    Blocks(blocks::Blocks),
    Connect(connect::Connect),
    Say(say::Say),
    Watch(watch::Watch),
    Console(console::Console),
    Tx(tx::Tx),
    Poll(poll::Poll),
    Governance(governance::Governance),
    Gossip(gossip::Gossip),
    Export(archive::Export),
    Import(archive::Import),
    Verify(archive::Verify),
    Probe(probe::Probe),
    Swarm(Box<swarm::JoinSwarm>),
    Bench(bench::Bench),
    Sim(sim::Sim),
    Load(load::Load),
    Completions(completions::Completions),
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has stopped reading: nothing to say, and nobody to say it to.
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome {
    let session = Session::new(arguments.global);
    // A node is one loop with two threads for its disks: on one thread nothing has to be woken on another core, which
    // measured half as many heights again per second.
    let mut builder = match arguments.command {
        Command::Run(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(dispatch(arguments.command, &session));
    // A thread that still searches a stamp, say, must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, session: &Session) -> Outcome {
    match command {
        Command::Up(command) => command.run(session).await,
        Command::Init(command) => command.run(session),
        Command::Key(command) => command.run(session),
        Command::Genesis(command) => command.run(session).await,
        Command::Testnet(command) => command.run(session),
        Command::Run(command) => command.run(session).await,
        Command::Tracker(command) => command.run(session).await,
        Command::Status(command) => command.run(session).await,
        Command::Peers(command) => command.run(session).await,
        Command::Validators(command) => command.run(session).await,
        Command::Blocks(command) => command.run(session).await,
        Command::Connect(command) => command.run(session).await,
        Command::Say(command) => command.run(session).await,
        Command::Watch(command) => command.run(session).await,
        Command::Console(command) => command.run(session).await,
        Command::Tx(command) => command.run(session).await,
        Command::Poll(command) => command.run(session).await,
        Command::Governance(command) => command.run(session).await,
        Command::Gossip(command) => command.run(session).await,
        Command::Export(command) => command.run(session).await,
        Command::Import(command) => command.run(session),
        Command::Verify(command) => command.run(session),
        Command::Probe(command) => command.run(session).await,
        Command::Swarm(command) => command.run(session).await,
        Command::Bench(command) => command.run(session).await,
        Command::Sim(command) => command.run(session),
        Command::Load(command) => command.run(session).await,
        Command::Completions(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("conclave"), "{path} has no example");
            command.get_subcommands().for_each(|sub| check(sub, &path));
        }
        check(&Arguments::command(), "");
    }
}
