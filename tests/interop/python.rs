//! With py-libp2p: both directions of dialling, identify, ping, and gossipsub both ways.
//!
//! The interpreter is that of `target/interop-venv`, which `.ci/run` makes, or the one that `CONCLAVE_INTEROP_PYTHON`
//! names. Where it is missing, or cannot import `libp2p`, the tests are skipped and say so.

use crate::process::{Process, member, probe};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// An interpreter that can import py-libp2p; it is looked for once.
fn interpreter() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop-venv/bin/python");
        let path = std::env::var_os("CONCLAVE_INTEROP_PYTHON").map_or_else(default, PathBuf::from);
        let tried = Command::new(&path).args(["-c", "import libp2p"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success()).then_some(path)
    });
    found.as_deref()
}

/// A py-libp2p peer that dials `address`, if there is one; `None` where there is no py-libp2p.
fn python(test: &str, topic: &str, address: Option<&str>) -> Option<Process> {
    let Some(interpreter) = interpreter() else {
        // Past the test harness, which keeps what a passing test prints.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!(
                "SKIPPED: {test}: no Python that can import libp2p: run .ci/run, which makes target/interop-venv, or \
                 name an interpreter in CONCLAVE_INTEROP_PYTHON\n"
            )
            .as_bytes(),
        );
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peer.py");
    // py-libp2p logs at length on standard error whatever a peer does not speak; its events say enough.
    let mut command = Command::new(interpreter);
    Some(Process::start(command.arg(script).arg(topic).args(address).stderr(Stdio::null())))
}

#[test]
fn this_program_dials_py_libp2p() {
    let Some(mut python) = python("this_program_dials_py_libp2p", "interop", None) else { return };
    let address = python.address("/tcp/");
    let report = probe(&address, &["--count", "3"]);
    assert!(report["identity"]["agent"].as_str().unwrap().starts_with("py-libp2p/"), "{report}");
    assert_eq!((&report["pings"]["answered"], &report["pings"]["lost"]), (&3.into(), &0.into()));
    let mut ours = member(&["--bootstrap", &address, "--topic", "interop", "--publish", "from Rust"]);
    let our_id = ours.wait("started", |_| true)["peer"].clone();
    let message = python.wait("message", |message| message["text"] == "from Rust");
    assert_eq!(message["author"], our_id);
    python.say("publish from Python");
    let message = ours.wait("message", |message| message["text"] == "from Python");
    assert!(address.ends_with(message["author"].as_str().unwrap()), "{message}");
}

#[test]
fn py_libp2p_dials_this_program() {
    if interpreter().is_none() {
        python("py_libp2p_dials_this_program", "interop", None);
        return;
    }
    let mut ours = member(&["--listen", "/ip4/127.0.0.1/tcp/0", "--topic", "interop", "--stdin"]);
    let address = ours.address("/tcp/");
    let mut python = python("py_libp2p_dials_this_program", "interop", Some(&address)).unwrap();
    let identity = python.wait("identified", |_| true);
    assert!(identity["agent"].as_str().unwrap().starts_with("conclave/"), "{identity}");
    let protocols = identity["protocols"].as_array().unwrap();
    assert!(protocols.iter().any(|protocol| protocol == "/ipfs/ping/1.0.0"), "{protocols:?}");
    let pinged = python.wait("pinged", |_| true);
    assert_eq!(pinged["times"].as_array().unwrap().len(), 3);
    python.say("publish from Python");
    ours.wait("message", |message| message["text"] == "from Python");
    ours.say("from Rust");
    python.wait("message", |message| message["text"] == "from Rust");
}
