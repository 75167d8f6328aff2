//! The election of the examples, held by miners over forks.

use super::{miners, running, wait_rest, work};
use crate::network::{election, program, succeed};

#[test]
fn an_election_over_forks_has_the_same_tally_and_counts_every_ballot_once() {
    let network = running(4);
    let out = succeed(program().arg("--home").arg(&network.home).args(["poll", "import"]).arg(election()));
    assert!(out.contains("every ballot is decided: 143 of 143"), "{out}");
    assert!(out.contains("a recount of the file gives the same tally"), "{out}");
    assert!(out.contains("blocks on the chain") && out.contains("the deepest of which undid"), "{out}");
    let height = wait_rest(&network, &[0, 1, 2, 3]);
    let status: Vec<_> = (0..4).map(|node| work(&network, node)).collect();
    let forks: u64 = status.iter().map(|status| status.forks).sum();
    assert!(forks > 0, "four miners at once and no fork: {status:?}");
    let chains: Vec<Vec<u8>> = (0..4).map(|node| network.export(node)).collect();
    assert!(chains.iter().all(|chain| *chain == chains[0]), "all have the same chain");
    let verified = succeed(
        program()
            .args(["verify", "--output", "json", "--genesis"])
            .arg(network.genesis())
            .arg(network.home.join("export-0")),
    );
    let report: serde_json::Value = serde_json::from_str(&verified).unwrap();
    assert_eq!((&report["ballots"], &report["heights"]), (&143.into(), &height.into()), "{report}");
    assert_eq!(report["polls"].as_array().unwrap().len(), 1, "{report}");

    // And forks can be looked at.
    let svg = network.home.join("forks.svg");
    let drawn = succeed(
        program()
            .args(["--api", &network.apis[0], "blocks", "--tree", "--heights", "100", "--svg"])
            .arg(&svg),
    );
    assert!(drawn.contains('●'), "{drawn}");
    assert!(std::fs::read_to_string(svg).unwrap().contains("<circle"));
    // A home can be filled with the chain, and its node goes on.
    let home = network.home.join("imported");
    succeed(program().arg("--home").arg(&home).arg("init"));
    succeed(
        program()
            .arg("--home")
            .arg(&home)
            .args(["import", "--genesis"])
            .arg(network.genesis())
            .arg(network.home.join("export-1")),
    );
}

#[test]
fn a_validator_set_has_nothing_to_mine() {
    let network = miners(1);
    let refused = program()
        .args(["genesis", "new", "--name", "x", "--engine", "proof-of-work", "--validator"])
        .arg(format!("anna={}", "11".repeat(32)))
        .arg("-o")
        .arg(network.home.join("other.toml"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("name no validators"), "{error}");
}
