//! Consoles on real nodes: scripts on standard input, and somebody at a terminal.

#![allow(clippy::unwrap_used)]

#[path = "../common/network.rs"]
mod network;
mod polls;
mod script;
mod talking;
mod terminal;
mod with_node;

use network::{Network, program};
use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

/// Runs `command` with `script` as its standard input.
fn feed(mut command: Command, script: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A console that has left reads no more.
    let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
    child.wait_with_output().unwrap()
}

/// A console on the node, in its home.
fn console(network: &Network, node: usize) -> Command {
    let mut command = program();
    command.arg("--home").arg(network.node_home(node)).arg("console");
    command
}

/// What a console on the node prints for a script all of whose commands succeed.
#[track_caller]
fn say(network: &Network, node: usize, script: &str) -> String {
    let output = feed(console(network, node), script);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}\n--- out\n{out}\n--- err\n{err}");
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
