//! What a restarted validator says again, and what a certificate still undoes after a restart.

use super::lab::*;
use crate::consensus::{Command, Event, Message, Past, SignedRecord};
use conclave_ledger::{
    keys::Signature,
    proof::Proof,
    signed::{Kind, Slot, Value},
};

fn record(kind: Kind, value: Value) -> SignedRecord {
    let signature = Slot { network: NETWORK, height: 1 }.sign(&key(1), kind, &value);
    SignedRecord { height: 1, kind, value, signature }
}

/// What the log keeps beside a vote for a block.
fn proposed(lab: &Lab) -> Option<(Kind, Signature)> {
    lab.events.iter().find_map(|event| match event {
        Event::Proposed { kind, signature, .. } => Some((*kind, *signature)),
        _ => None,
    })
}

#[test]
fn a_restarted_validator_says_its_chain_again_before_anybody_tells_it_anything() {
    for fast in [true, false] {
        let first = block(1, 0, 1);
        let mut lab = Lab::with(config(1, fast), Vec::new(), 4, 1);
        lab.propose(&first);
        let place = |wanted: &dyn Fn(&Event) -> bool| lab.events.iter().position(wanted).unwrap();
        let (is_proposed, is_signed) = (
            place(&|event| matches!(event, Event::Proposed { .. })),
            place(&|event| matches!(event, Event::Append(_))),
        );
        assert!(is_proposed < is_signed, "it is known when the block is logged");
        let (kind, signature) = proposed(&lab).unwrap();
        let signed = lab.signed();
        let said = lab.sent.iter().find(|(_, message)| matches!(message, Message::Chain { .. })).cloned();

        let log = signed.iter().map(|(kind, value)| record(*kind, *value)).collect();
        let mut lab = Lab::with(config(1, fast), log, 4, 1);
        lab.command(Command::Proposed { height: 1, block: first.hash(), kind, signature });
        lab.command(Command::Block(first.clone()));
        assert!(lab.machine.is_open() && lab.signed().is_empty());
        lab.forget();
        lab.command(Command::Joined { peer: peer(2), key: key(2).public() });
        let resent: Vec<Message> = lab.sent.iter().map(|(_, message)| message.clone()).collect();
        assert_eq!(resent, [said.unwrap().1, body(&first)], "fast: {fast}");
        lab.advance_to(9.0);
        assert!(!lab.signed().iter().any(|(kind, _)| *kind == Kind::Vote), "the vote is spent");
        assert_eq!(lab.decision(), None, "its clock decides nothing");
    }
}

#[test]
fn a_restarted_leader_says_its_chain_again() {
    let first = block(1, 0, 1);
    let value = Value::Block(first.hash());
    let signature = Slot { network: NETWORK, height: 1 }.sign(&key(0), Kind::Vote, &value);
    let log = vec![SignedRecord { height: 1, kind: Kind::Vote, value, signature }];
    let mut lab = Lab::with(config(0, true), log, 4, 1);
    lab.command(Command::Block(first.clone()));
    lab.forget();
    lab.command(Command::Joined { peer: peer(2), key: key(2).public() });
    let resent: Vec<Message> = lab.sent.iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(resent, [chain(&first, &[0], &[]), body(&first)]);
    assert!(lab.signed().is_empty());
}

#[test]
fn a_leaders_signature_in_the_log_that_does_not_verify_is_as_good_as_none() {
    let first = block(1, 0, 1);
    let log = vec![record(Kind::Vote, Value::Block(first.hash()))];
    let mut lab = Lab::with(config(1, true), log, 4, 1);
    let signature = Signature([3; 64]);
    lab.command(Command::Proposed { height: 1, block: first.hash(), kind: Kind::Vote, signature });
    lab.command(Command::Block(first.clone()));
    assert!(!lab.machine.is_open());
    lab.receive(0, chain(&first, &[0], &[]));
    assert!(lab.machine.is_open() && lab.penalties.is_empty());
}

/// A machine at height 3 whose chain says that height 1 was decided to skip, with two commits or none.
fn restarted(proof: Option<Proof>, log: Vec<SignedRecord>) -> Lab {
    let mut lab = Lab::with(config(1, true), log, 4, 2);
    let past = Past { height: 1, value: Value::Skip, proof, leader: key(0).public(), validators: set(4, 2) };
    // The lab begins at height 1; a node tells of the past before it begins.
    lab.command(Command::Decided(past));
    lab.command(Command::Begin { height: 3, validators: set(4, 2), leader: key(0).public() });
    lab.forget();
    lab
}

fn is_repair(event: &Event) -> bool {
    matches!(event, Event::Repair { height: 1, .. })
}

#[test]
fn r1_a_certificate_outranks_what_was_decided_before_a_restart() {
    let first = Value::Block(block(1, 0, 1).hash());
    let Message::Certificate { votes, .. } = certificate(first, &[0, 1, 2, 3], &[]) else { unreachable!() };
    let mut lab = restarted(None, Vec::new());
    lab.receive(2, certificate(first, &[0, 1, 2, 3], &[]));
    assert!(!lab.has(is_repair), "commits that make the decision final are waited for");
    lab.advance_to(2.0);
    assert!(lab.has(is_repair));
    // The same by another way than a validator's channel.
    let mut lab = restarted(None, Vec::new());
    lab.command(Command::Certificate {
        height: 1,
        value: first,
        votes: signatures(1, Kind::Vote, first, &[0]),
    });
    lab.advance_to(2.0);
    assert!(!lab.has(is_repair), "one vote is no certificate");
    lab.command(Command::Certificate { height: 1, value: first, votes: votes.clone() });
    assert!(lab.has(is_repair));
    // A decision that has its certificate is final.
    let certified = Proof::Certificate(signatures(1, Kind::Vote, Value::Skip, &[0, 1, 2, 3]));
    for mut lab in [restarted(Some(certified), Vec::new()), {
        let mut lab = restarted(None, Vec::new());
        lab.command(Command::Certified(1));
        lab
    }] {
        lab.command(Command::Certificate { height: 1, value: first, votes: votes.clone() });
        lab.receive(2, certificate(first, &[0, 1, 2, 3], &[]));
        lab.advance_to(2.0);
        assert!(!lab.has(is_repair));
    }
}

#[test]
fn r1_what_was_said_of_a_decision_without_a_certificate_is_said_again_after_a_restart() {
    let mut lab = restarted(None, vec![record(Kind::Commit, Value::Skip)]);
    lab.command(Command::Joined { peer: peer(2), key: key(2).public() });
    let commits = signatures(1, Kind::Commit, Value::Skip, &[1]);
    let again = Message::Commit { height: 1, value: Value::Skip, commits };
    assert_eq!(lab.told(|message| *message == again), [peer(2)]);
    // And the proof is still gathered: f+1 commits.
    for other in [2, 3] {
        let commits = signatures(1, Kind::Commit, Value::Skip, &[other]);
        lab.receive(other, Message::Commit { height: 1, value: Value::Skip, commits });
    }
    assert!(lab.has(|event| matches!(event, Event::Proved { height: 1, .. })));
}

#[test]
fn r1_a_restarted_node_answers_a_commit_to_something_else_with_the_certificate() {
    let certified = Proof::Certificate(signatures(1, Kind::Vote, Value::Skip, &[0, 1, 2, 3]));
    let mut lab = restarted(Some(certified), vec![record(Kind::Vote, Value::Skip)]);
    let other = Value::Block(block(1, 0, 1).hash());
    let commits = signatures(1, Kind::Commit, other, &[3]);
    lab.receive(3, Message::Commit { height: 1, value: other, commits });
    assert_eq!(lab.told(|message| matches!(message, Message::Certificate { height: 1, .. })), [peer(3)]);
}
