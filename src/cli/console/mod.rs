//! `conclave console`: a node's console, for people at a terminal and for scripts.
//!
//! ```text
//! terminal ──► editor ──► parse ──► commands ──► the node's HTTP API
//!              complete     place, words
//! pipe, file ──► script ──► parse ──► …
//! ```
//! It attaches to a running node as every other command does, or comes with the node (`conclave run --console`, see
//! [`attached`]). Most of its commands are those of the command line.
//!
//! - [`mod@commands`]: what can be said. [`parse`]: from a line to a command; [`words`] and [`place`] take the line apart.
//! - [`editor`]: lines from a terminal, with history; [`complete`] and [`known`] offer what can come next; [`screen`]
//!   prints what comes meanwhile; [`hearing`] is what that is.
//! - [`script`]: lines from anything else.
//!
//! Whatever goes wrong is said in one line. At a terminal it never ends the console; in a script the others still run,
//! and the exit code says that one failed.

mod attached;
mod commands;
mod complete;
mod editor;
mod hearing;
mod known;
mod parse;
mod place;
mod port;
mod screen;
mod script;
mod words;

pub(super) use attached::{prepare, run_with_node};

use super::{
    failure::{Context, Outcome},
    output,
    session::Session,
    status::state_of,
};
use crate::client::Client;
use clap::Parser;
use commands::Next;
use editor::{Lines, Read};
use futures::FutureExt as _;
use parse::Request;
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};

/// Opens a console on a running node: commands with editing, history and completion
#[derive(Parser)]
#[command(
    after_help = "Commands are read from standard input if that is no terminal; the exit code is then 0 only if all of them \
                  succeeded.\n\nExample:\n  conclave --home ./anna console\n  echo status | conclave console"
)]
pub(crate) struct Console {}

impl Console {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        run(&session.attached_to(client.clone()), &client).await
    }
}

/// Runs a console on the node of `client` until its user leaves it or its script ends.
///
/// # Errors
/// When the terminal cannot be used, or a command of a script failed.
async fn run(session: &Session, client: &Client) -> Outcome {
    if std::io::stdin().is_terminal() {
        interact(session, client).await
    } else {
        script::run(session, client).await
    }
}

/// A console for somebody at a terminal.
async fn interact(session: &Session, client: &Client) -> Outcome {
    let status = client.status().await?;
    let (name, state) = (&status.network_name, state_of(&status));
    output::line(&format!(
        "{} in the network {name}: height {}, {} peers, {state}\n`help` says what can be done, Tab completes, `quit` leaves.",
        status.peer_id, status.height, status.peers
    ))?;
    let known = known::Node { client: client.clone(), runtime: tokio::runtime::Handle::current() };
    let (lines, screen) = Lines::start(&session.home, known)?;
    let hearing = tokio::spawn(hearing::hear(client.clone(), screen));
    let outcome = converse(session, client, lines).await;
    hearing.abort();
    outcome
}

/// Does what is typed, until whoever types has had enough.
async fn converse(session: &Session, client: &Client, mut lines: Lines) -> Outcome {
    let tree = commands::tree();
    let mut interrupts = signal(SignalKind::interrupt()).context(|| "cannot wait for Ctrl-C".into())?;
    loop {
        // One that came too late for its command is not for the next.
        while interrupts.recv().now_or_never().is_some() {}
        let line = match lines.next().await {
            Read::Line(line) => line,
            Read::Interrupted => continue,
            Read::End => return Ok(()),
        };
        let done = tokio::select! {
            done = perform(&tree, &line, session, client) => done,
            _ = interrupts.recv() => Ok(Next::Line),
        };
        match done {
            Ok(Next::Line) => {}
            Ok(Next::Quit) => return Ok(()),
            Err(failure) => eprintln!("error: {}", failure.one_line()),
        }
    }
}

/// Does what a line asks for.
async fn perform(tree: &clap::Command, line: &str, session: &Session, client: &Client) -> Outcome<Next> {
    match parse::request(tree, line, client).await? {
        Request::Nothing => Ok(Next::Line),
        Request::Help(text) => output::line(text.trim_end()).map(|()| Next::Line),
        Request::Command(entry) => entry.run(session).await,
    }
}
