//! `run --console`: a node that comes with its console.

use super::{Network, feed, program, text};
use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// A node with a console, in a home of its own, that knows nobody.
fn stranger(network: &Network, home: &Path) -> Command {
    let mut command = program();
    command.arg("--home").arg(home).args(["run", "--console", "--genesis"]).arg(network.genesis());
    command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"]);
    command
}

#[test]
fn a_new_node_connects_to_the_address_that_it_is_told() {
    let network = Network::start(1, 100);
    let home = network.home.join("stranger");
    let address = network.addresses(0).into_iter().find(|address| address.contains("/tcp/")).unwrap();
    let script = format!("addresses\nconnect {address}\npeers\nconnect {address}\nquit\n");
    let output = feed(stranger(&network, &home), &script);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let own = out.lines().find(|line| line.starts_with("/ip4/127.0.0.1/tcp/")).unwrap_or_default();
    assert!(own.contains("/p2p/12D3KooW"), "{out}");
    assert_eq!(out.matches("connected to node-1, 12D3KooW").count(), 2, "{out}");
    assert!(out.contains("WHO") && out.contains("node-1  "), "{out}");
    assert!(!out.contains("INFO") && !err.contains("INFO"), "log lines go to a file\n{out}\n{err}");
    let log = home.join("log");
    assert!(std::fs::read_to_string(&log).unwrap().contains("the node is up"));
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(home.join("keys/node.key").exists());
}

#[test]
fn a_failed_command_is_the_exit_code_and_a_node_that_cannot_start_an_error() {
    let network = Network::start(1, 100);
    let home = network.home.join("stranger");
    let failed = feed(stranger(&network, &home), "connect nowhere\nstatus\n");
    let err = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{err}");
    assert!(err.contains("line 1: ") && err.contains("not a multiaddress"), "{err}");
    assert!(text(&failed.stdout).contains("observer"), "{}", text(&failed.stdout));

    let mut no_genesis = program();
    no_genesis.arg("--home").arg(network.home.join("empty")).args(["run", "--console"]);
    no_genesis.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"]);
    let output = feed(no_genesis, "status\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("genesis.toml"), "{}", text(&output.stderr));
}
