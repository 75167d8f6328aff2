//! What can be said at the console: the commands of the command line that speak to a node, short names for the most
//! usual of them, and a few of its own.

use crate::cli::{
    blocks::Blocks,
    connect::Connect,
    failure::Outcome,
    governance::Governance,
    poll,
    say::Say,
    session::Session,
    status::{ShowPeers, ShowStatus, ShowValidators},
    tx::Tx,
    watch::Watch,
};
use clap::{CommandFactory, Parser, Subcommand};

/// The overview that `help` gives.
const OVERVIEW: &str = "\
{subcommands}

Examples:
  connect /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…
  say we begin in five minutes       (the rest of the line, as it is)
  poll create 'Lunch?' Soup Bread
  vote 77ab Soup                     (the beginning of a poll's id will do; Tab completes it)
  tally 77ab
  watch --only decided               (Ctrl-C ends it)

`help COMMAND` says more. Arrow keys, Ctrl-R and Tab work as in a shell.";

/// A line of the console.
#[derive(Parser)]
#[command(multicall = true, help_template = OVERVIEW)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) entry: Entry,
}

/// A command of the console.
#[derive(Subcommand)]
pub(super) enum Entry {
    Status(ShowStatus),
    /// Shows the addresses at which other nodes reach this one
    Addresses,
    Peers(ShowPeers),
    Validators(ShowValidators),
    Connect(Connect),
    Say(Say),
    Poll(poll::Poll),
    /// Lists polls, the newest first (short for `poll list`)
    Polls(poll::List),
    /// Casts a ballot (short for `poll cast`)
    Vote(poll::Cast),
    /// Shows the tally of a poll (short for `poll tally`)
    Tally(poll::ShowTally),
    Watch(Watch),
    Blocks(Blocks),
    Tx(Tx),
    Governance(Governance),
    /// Leaves the console; a node that was started with it stops
    #[command(alias = "exit")]
    Quit,
}

/// Whether the console goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With the next line.
    Line,
    /// It ends.
    Quit,
}

impl Entry {
    /// Runs the command.
    pub(super) async fn run(self, session: &Session) -> Outcome<Next> {
        match self {
            Self::Status(command) => command.run(session).await,
            Self::Addresses => show_addresses(session).await,
            Self::Peers(command) => command.run(session).await,
            Self::Validators(command) => command.run(session).await,
            Self::Connect(command) => command.run(session).await,
            Self::Say(command) => command.run(session).await,
            Self::Poll(command) => command.run(session).await,
            Self::Polls(command) => command.run(session).await,
            Self::Vote(command) => command.run(session).await,
            Self::Tally(command) => command.run(session).await,
            Self::Watch(command) => command.run(session).await,
            Self::Blocks(command) => command.run(session).await,
            Self::Tx(command) => command.run(session).await,
            Self::Governance(command) => command.run(session).await,
            Self::Quit => return Ok(Next::Quit),
        }?;
        Ok(Next::Line)
    }
}

async fn show_addresses(session: &Session) -> Outcome {
    let status = session.client()?.status().await?;
    session.output.show(&status.listen, |addresses| match addresses.as_slice() {
        [] => "the node listens nowhere: it can only connect to others".to_owned(),
        addresses => addresses.join("\n"),
    })
}

/// All commands, for parsing and completion. The examples of the command line are left out: they begin with the
/// program's name.
pub(super) fn tree() -> clap::Command {
    let mut tree = Line::command();
    tree.build();
    tree.mut_subcommands(without_examples)
}

fn without_examples(command: clap::Command) -> clap::Command {
    command.after_help("").mut_subcommands(without_examples)
}
