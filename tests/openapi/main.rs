//! The API from its own OpenAPI page: schemathesis makes requests of every kind that the page allows, and many that it
//! does not, and holds each answer against it. No answer may be an error of the server (5xx), have a status or a type
//! that is not on the page, or a body that is not of its schema.
//!
//! The interpreter is that of `target/openapi-venv`, which `.ci/run` makes, or the one that `CONCLAVE_OPENAPI_PYTHON`
//! names. Where it is missing, or cannot import `schemathesis`, the test is skipped and says so.

#![allow(clippy::unwrap_used)]

#[path = "../common/network.rs"]
mod network;

use conclave_ledger::{
    applications::{
        Payload,
        governance::{self, Change},
        polls::{self, Electorate},
    },
    genesis::Limits,
    hash::Hash,
    tally::{Choice, Method},
    transaction::Request,
};
use network::Network;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Seed of the requests.
const SEED: &str = "1";

/// Requests of the random kind for each operation; those of the systematic kind follow from the page.
const EXAMPLES: &str = "12";

/// What an answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

fn interpreter() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/openapi-venv/bin/python");
    let path = std::env::var_os("CONCLAVE_OPENAPI_PYTHON").map_or_else(default, PathBuf::from);
    let tried = Command::new(&path).args(["-c", "import schemathesis"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success()).then_some(path)
}

/// A poll with a ballot, a record and a proposal, so that there is something to ask for: the ids of poll and proposal.
fn fill(network: &Network) -> (Hash, Hash) {
    let (genesis, key) = (conclave::genesis_file::read(&network.genesis()).unwrap(), network.key(0));
    let decide = |payload: Payload| {
        let request = Request { network: genesis.network_id(), sender: key.public(), expires: 900, payload };
        let id = request.id();
        network
            .decide(0, &request.sign(&key), Duration::from_secs(60))
            .expect("the only validator decides it");
        id
    };
    let poll = decide(Payload::Poll(polls::Payload::OpenPoll {
        title: "Lunch".into(),
        options: vec!["Soup".into(), "Bread".into()],
        method: Method::ChooseOne,
        electorate: Electorate::Validators,
        opens: 0,
        closes: u64::from(u32::MAX) * 1000,
        revote: true,
    }));
    decide(Payload::Poll(polls::Payload::CastBallot { poll, choice: Choice::One(0) }));
    let change = Change::SetLimits(Limits { expiry_heights: 990, ..Limits::default() });
    (poll, decide(Payload::Governance(governance::Payload::Propose { change })))
}

/// Runs schemathesis against the API of node 0.
fn schemathesis(python: &Path, network: &Network, configuration: &str, arguments: &[&str]) {
    let folder = network.home.join("schemathesis");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("schemathesis.toml");
    std::fs::write(&file, configuration).unwrap();
    let page = format!("{}/openapi.json", network.apis[0]);
    let mut command = Command::new(python);
    // It keeps files where it runs.
    command
        .current_dir(&folder)
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&file)
        .args(["run", &page]);
    command.args([
        "--seed",
        SEED,
        "--max-examples",
        EXAMPLES,
        "--checks",
        CHECKS,
        "--workers",
        "1",
        "--no-color",
    ]);
    // Events never end; the tests of the API read them.
    command.args(["--generation-database", "none", "--warnings", "off", "--exclude-path", "/v1/events"]);
    let output = command.args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "seed {SEED}: the API is not what its page says\n{out}\n{err}");
    assert!(out.contains("Test cases:"), "nothing was tested\n{out}\n{err}");
}

#[test]
fn the_api_is_what_its_page_says() {
    let Some(python) = interpreter() else {
        // Past the test harness, which keeps what a passing test prints.
        let _ = std::io::stderr().write_all(
            b"SKIPPED: the_api_is_what_its_page_says: no Python that can import schemathesis: run .ci/run, which makes \
              target/openapi-venv, or name an interpreter in CONCLAVE_OPENAPI_PYTHON\n",
        );
        return;
    };
    let network = Network::start(1, 200);
    let (poll, proposal) = fill(&network);
    schemathesis(&python, &network, "", &["--phases", "coverage,fuzzing"]);
    // Once more for what there is to find, which no random number names.
    let voter = network.key(0).public();
    let of = |path: &str, parameters: &[(&str, &str)]| {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("\"path.{name}\" = \"{value}\"")).collect();
        format!("[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ {} }}\n", parameters.join(", "))
    };
    let (poll, proposal, voter) = (poll.to_string(), proposal.to_string(), voter.to_string());
    let existing = [
        of("/v1/blocks/{height}", &[("height", "1")]),
        of("/v1/blocks/{height}/proof", &[("height", "1")]),
        of("/v1/transactions/{id}", &[("id", &poll)]),
        of("/v1/transactions/{id}/proof", &[("id", &poll)]),
        of("/v1/polls/{id}", &[("id", &poll)]),
        of("/v1/polls/{id}/tally", &[("id", &poll)]),
        of("/v1/polls/{id}/ballots/{voter}", &[("id", &poll), ("voter", &voter)]),
        of("/v1/proposals/{id}", &[("id", &proposal)]),
        of("/v1/senders/{key}", &[("key", &voter)]),
    ];
    let arguments = ["--phases", "fuzzing", "--mode", "positive", "--include-path-regex", "[{]"];
    schemathesis(&python, &network, &existing.concat(), &arguments);
}
