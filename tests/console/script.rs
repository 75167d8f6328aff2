//! Consoles without a terminal.

use super::{Network, console, feed, program, say, text};

#[test]
fn a_script_runs_all_its_commands_and_says_which_failed() {
    let network = Network::start(1, 100);
    let out = say(&network, 0, "status\n");
    assert!(out.contains("validator node-1") && !out.contains("conclave>"), "no prompt for a script:\n{out}");

    let script = "# a comment\n\nstatus\nnonsense\npoll\nconnect /ip4/127.0.0.1/tcp/1\naddresses";
    let output = feed(console(&network, 0), script);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    let errors: Vec<&str> = err.lines().collect();
    assert_eq!(errors.len(), 4, "one line for each, and one at the end:\n{err}");
    for (line, parts) in errors.iter().zip([
        ["error: line 4: ", "nonsense", "See `help`."],
        ["error: line 5: ", "needs one of", "See `help poll`."],
        ["error: line 6: ", "/ip4/127.0.0.1/tcp/1: ", "check that a node listens there"],
        ["error: ", "3 commands failed", ""],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
    }
    assert!(out.contains("validator node-1"), "what comes before an error is done:\n{out}");
    let last = out.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("/ip4/127.0.0.1/") && last.contains("/p2p/12D3KooW"),
        "and what comes after:\n{out}"
    );
}

#[test]
fn quit_ends_a_script_and_json_is_for_programs() {
    let network = Network::start(1, 100);
    let mut command = console(&network, 0);
    command.args(["--output", "json"]);
    let output = feed(command, "status\nquit\nnonsense\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["validator"]["name"], "node-1");
}

#[test]
fn without_a_node_every_command_says_so() {
    let mut command = program();
    command.args(["--api", "http://127.0.0.1:9", "console"]);
    let output = feed(command, "status\nhelp\n");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(err.starts_with("error: line 1: http://127.0.0.1:9 cannot be reached"), "{err}");
    assert!(err.contains("conclave run") && out.contains("vote"), "{out}\n{err}");
}
