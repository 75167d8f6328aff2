//! A network of containers, each with a network stack and a folder of its own: what loopback cannot show, such as a
//! connection whose other end has gone without a word. The scenes are those of `scripts/docker-demo`, which checks what
//! comes of each and removes what it made; here they run on an image of the program that the tests were built with.
//!
//! Without Docker there is nothing to test; that is said where it is seen even though the test passes.

#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn script(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
    command.env_remove("CONCLAVE_IMAGE").stdin(Stdio::null());
    command
}

/// Runs a command to its end; fails the test with all that it printed if it fails.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

/// Whether a command can be run, and does not fail.
fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let status =
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Why there can be no network of containers here.
fn obstacle() -> Option<&'static str> {
    if !cfg!(target_os = "linux") {
        Some("the program that the tests were built with runs in no Linux container")
    } else if !works("docker", &["info"]) {
        Some("`docker info` fails: no Docker, or no right to use it")
    } else if !works("docker", &["compose", "version"]) && !works("docker-compose", &["version"]) {
        Some("there is neither `docker compose` nor `docker-compose`")
    } else {
        None
    }
}

/// An image that is removed at the end.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        works("docker", &["image", "rm", "--force", &self.0]);
    }
}

#[test]
fn a_network_of_containers_holds_an_election_and_outlives_partitions() {
    if let Some(reason) = obstacle() {
        // Past the capture of the test's output, which nobody sees of a test that passes.
        writeln!(std::io::stderr(), "\nSKIPPED: the network of containers is not tested: {reason}\n")
            .unwrap();
        return;
    }
    let image = Image(format!("conclave:test-{}", std::process::id()));
    let program = env!("CARGO_BIN_EXE_conclave");
    succeed(script("docker-image").args(["--tag", &image.0, "--program", program]));
    let told = succeed(script("docker-demo").args(["--image", &image.0, "poll", "partition"]));
    for sentence in [
        "every ballot is decided: 143 of 143",
        "export the same chain",
        "both sides halt, say so in status, metric and log, and are unhealthy to Docker",
        "they decide what waited on both sides, and all have it",
        "three halt, and the one that crashed says that it sees no quorum when it is back on its side",
        "the three go on, and the one halts",
        "two halt, and go on when the third is back, while the one that is cut off still waits",
        "validator-4 is back, and has everything",
        "transactions, each there once, where it was acknowledged",
        "what was acknowledged before, during and after each cut is in the exports of all",
        "all of it came true",
    ] {
        assert!(told.contains(sentence), "the demo does not say {sentence:?}:\n{told}");
    }
}

/// `docker build .` sees what `.dockerignore` lets through, and Cargo wants every member of the workspace.
#[test]
fn every_member_of_the_workspace_goes_to_the_builder_of_images() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let ignore = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    let let_through: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        let is_there = let_through.iter().any(|path| Path::new(member).starts_with(path));
        assert!(is_there, "{member} is a member of the workspace, and .dockerignore keeps it out");
    }
    assert!(["src", "Cargo.toml", "Cargo.lock"].iter().all(|path| let_through.contains(path)));
}
