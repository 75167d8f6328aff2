//! The pure crates stay pure: nothing that they depend on reaches for the network, a runtime or the system's
//! randomness. What their own code must not name is in their `clippy.toml`.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, process::Command};

/// What each pure crate may use, and no other: adding one means adding it here too, and saying why in the change.
const LEDGER: [&str; 8] =
    ["cbor4ii", "conclave-ledger", "ed25519-zebra", "rand_chacha", "rand_core", "serde", "sha2", "thiserror"];
const PROTOCOL: [&str; 7] =
    ["conclave-ledger", "conclave-protocol", "rand_chacha", "rand_core", "serde", "sha2", "thiserror"];

/// What must not be anywhere below them: the beginnings of names.
const IMPURE: [&str; 11] = [
    "async-",
    "futures",
    "getrandom",
    "hyper",
    "libp2p",
    "mio",
    "quinn",
    "redb",
    "rustix",
    "socket2",
    "tokio",
];

/// Names of the packages that `package` uses in a release, itself among them, down to `depth`.
fn dependencies(package: &str, depth: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--depth", depth, "--package", package, "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Packages of `all` that no pure crate may stand on.
fn impure(all: &BTreeSet<String>) -> Vec<&String> {
    all.iter().filter(|name| IMPURE.iter().any(|start| name.starts_with(start))).collect()
}

#[test]
fn pure_crates_stand_on_nothing_impure() {
    for package in ["conclave-ledger", "conclave-protocol"] {
        let all = dependencies(package, "100");
        assert!(all.contains("ed25519-zebra"), "the list of {package} is not its dependencies: {all:?}");
        assert!(impure(&all).is_empty(), "{package} depends on {:?}", impure(&all));
    }
}

#[test]
fn what_the_pure_crates_use_is_listed() {
    for (package, allowed) in [("conclave-ledger", &LEDGER[..]), ("conclave-protocol", &PROTOCOL[..])] {
        let direct = dependencies(package, "1");
        assert_eq!(direct, allowed.iter().map(|name| (*name).to_owned()).collect(), "{package}");
    }
}

#[test]
fn the_crates_depend_downward_only() {
    for (package, above) in [
        ("conclave-ledger", &["conclave-protocol", "conclave-behaviours", "conclave"][..]),
        ("conclave-protocol", &["conclave-behaviours", "conclave"]),
        ("conclave-behaviours", &["conclave"]),
    ] {
        let all = dependencies(package, "100");
        let wrong: Vec<_> = above.iter().filter(|name| all.contains(**name)).collect();
        assert!(wrong.is_empty(), "{package} depends on {wrong:?}");
    }
}

/// What `protocol` is built with when `arguments` are given to `cargo tree`.
fn features(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// No program that is built to be used can take a rule out of the protocol.
#[test]
fn nothing_but_tests_has_mutants() {
    let mutants = "conclave-protocol feature \"mutants\"";
    let program = features(&["--workspace", "--edges", "normal,build,features"]);
    assert!(program.contains("conclave-protocol") && !program.contains(mutants), "{program}");
    let tests = features(&["--package", "conclave-protocol", "--edges", "dev,features"]);
    assert!(tests.contains(mutants), "the check sees it where it is: {tests}");
}

#[test]
fn the_check_sees_what_it_is_there_for() {
    let node = dependencies("conclave-behaviours", "100");
    let found = impure(&node);
    assert!(
        found.iter().any(|name| *name == "libp2p") && found.iter().any(|name| *name == "tokio"),
        "{found:?}"
    );
}
