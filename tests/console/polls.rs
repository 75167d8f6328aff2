//! Polls from consoles.

use super::{Network, say};

/// The id in `opened poll ID at height …`.
fn opened(out: &str) -> String {
    let line = out.lines().find(|line| line.starts_with("opened poll ")).unwrap_or_else(|| panic!("{out}"));
    line.split(' ').nth(2).unwrap().to_owned()
}

#[test]
fn a_poll_is_started_and_voted_in_from_two_consoles() {
    let network = Network::start(2, 200);
    let poll = opened(&say(&network, 0, "poll create 'What is for lunch?' Soup 'Bread and Butter'\n"));
    let beginning = &poll[..8];
    say(&network, 0, &format!("vote {beginning} \"Bread and Butter\""));
    network.wait_agreement(&[0, 1]);
    let out = say(&network, 1, &format!("polls\nvote {beginning} 1\ntally {beginning}\nblocks list"));
    for part in ["What is for lunch?", "2 ballots", "1      Bread and Butter  2", "HEIGHT"] {
        assert!(out.contains(part), "{part:?} in\n{out}");
    }
    network.wait_agreement(&[0, 1]);
    assert!(say(&network, 0, &format!("poll tally {poll}")).contains("2 ballots"));
}
