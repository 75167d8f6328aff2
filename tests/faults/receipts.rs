//! What submitters were told against what every node exports: nothing that was acknowledged is lost, and the check can
//! tell.

use crate::network::{Network, program, succeed};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// `conclave load` through one node.
fn load(network: &Network, node: usize, seconds: u64, receipts: &Path) -> Child {
    let mut command = program();
    command.args(["--api", &network.apis[node], "load", "--rate", "40", "--seconds", &seconds.to_string()]);
    command.arg("--key").arg(network.node_home(node).join("keys/validator.key"));
    command.arg("--receipts").arg(receipts);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn verify(network: &Network, export: &Path, receipts: &[PathBuf]) -> Command {
    let mut command = program();
    command.arg("verify").arg(export).arg("--genesis").arg(network.genesis());
    command.arg("--receipts").args(receipts);
    command
}

/// What `verify` says when it refuses.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn whatever_was_acknowledged_is_in_every_export_and_a_false_receipt_is_not() {
    let mut network = Network::start(4, 200);
    let receipts = [network.home.join("receipts-0"), network.home.join("receipts-1")];
    let submitters = [load(&network, 0, 8, &receipts[0]), load(&network, 1, 8, &receipts[1])];
    // Both of the nodes that are asked die once, each with records on their way.
    for node in [1, 0] {
        let before = lines(&receipts[node]);
        crate::network::eventually("records are decided", || {
            (lines(&receipts[node]) >= before + 20).then_some(())
        });
        network.kill(node);
        network.run(node);
    }
    for submitter in submitters {
        let output = submitter.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{said}");
    }
    network.wait_agreement(&[0, 1, 2, 3]);
    let total = lines(&receipts[0]) + lines(&receipts[1]);
    let mut exports = Vec::new();
    for node in 0..4 {
        network.export(node);
        exports.push(network.home.join(format!("export-{node}")));
        let said = succeed(&mut verify(&network, &exports[node], &receipts));
        assert!(said.contains(&format!("receipts      {total} transactions, each there once")), "{said}");
    }

    let honest = std::fs::read_to_string(&receipts[0]).unwrap();
    let first: serde_json::Value = serde_json::from_str(honest.lines().next().unwrap()).unwrap();
    let forged = |field: &str, value: serde_json::Value| {
        let path = network.home.join(format!("forged-{field}"));
        let mut receipt = first.clone();
        receipt[field] = value;
        std::fs::write(&path, receipt.to_string()).unwrap();
        refusal(verify(&network, &exports[2], &[path]))
    };
    let never = forged("id", "00".repeat(32).into());
    assert!(never.contains("is not in the archive"), "{never}");
    let elsewhere = forged("index", 4_000.into());
    assert!(elsewhere.contains("was acknowledged as number 4000"), "{elsewhere}");

    // A record that is decided after an export was made is missing in it.
    let late = network.home.join("late");
    let record = ["--output", "json", "--api", &network.apis[3], "tx", "record", "late", "--key"];
    let key = network.node_home(3).join("keys/validator.key");
    std::fs::write(&late, succeed(program().args(record).arg(key))).unwrap();
    let missing = refusal(verify(&network, &exports[3], &[receipts[0].clone(), late]));
    assert!(missing.contains("does not hold what was acknowledged"), "{missing}");
}
