//! Scripts of Byzantine and slow validators against which the rules' words alone do not protect.

use super::lab::*;
use crate::consensus::{Command, Event, Message, SignedRecord};
use conclave_ledger::signed::{Kind, Slot, Value};
use std::sync::Arc;

fn value(block: &Arc<conclave_ledger::block::Block>) -> Value {
    Value::Block(block.hash())
}

fn closing() -> Message {
    Message::Closing { height: 1 }
}

fn is_support(message: &Message) -> bool {
    matches!(message, Message::Support { .. })
}

/// Validator 2 is honest and a little ahead, the leader is faulty: it shows validator 2 its vote for one block and
/// this node its vote for another, whose body it keeps. So this node counts one vote less than support needs.
#[test]
fn s1_support_that_comes_before_the_end_of_window_two_counts_at_that_end() {
    for relays in [vec![2], vec![]] {
        let (first, withheld) = (block(1, 0, 1), block(1, 0, 2));
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        lab.receive(0, chain(&withheld, &[0], &[]));
        lab.advance_to(1.1);
        lab.receive(2, chain(&first, &[0, 2], &[]));
        lab.receive(2, body(&first));
        lab.advance_to(1.9);
        lab.receive(2, support(first.hash(), &[0, 2], &relays));
        assert!(lab.told(is_support).is_empty());
        lab.advance_to(2.0);
        assert_eq!(lab.told(is_support).len(), 3, "it is sent on");
        lab.advance_to(3.0);
        [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
        lab.advance_to(4.0);
        assert_eq!(lab.decision(), Some((value(&first), false)), "what validator 2 decides");
    }
}

/// Five validators, three of them faulty, and support is one vote: the faulty ones give an honest node support for
/// blocks that nobody has, before they give it a block. It must not spend its names on them.
#[test]
fn s1_support_for_blocks_that_are_not_extracted_keeps_no_chain_from_the_others() {
    let (first, nowhere) = (block(1, 0, 1), [block(1, 0, 8), block(1, 0, 9)]);
    let mut labs = [Lab::new(1, 5, 3), Lab::new(2, 5, 3)];
    let pass_on = |labs: &mut [Lab; 2]| {
        for (from, to) in [(0, 1), (1, 0)] {
            let sent = std::mem::take(&mut labs[from].sent);
            for (_, message) in sent.into_iter().filter(|(receiver, _)| *receiver == peer(to + 1)) {
                labs[to].receive(from + 1, message);
            }
        }
    };
    labs.iter_mut().for_each(|lab| lab.command(Command::Pending(true)));
    labs.iter_mut().for_each(|lab| lab.advance_to(2.1));
    pass_on(&mut labs);
    for (from, block) in [(3, &nowhere[0]), (4, &nowhere[1])] {
        labs[0].receive(from, support(block.hash(), &[from], &[from]));
    }
    pass_on(&mut labs);
    labs[0].receive(0, body(&first));
    labs[0].receive(0, chain(&first, &[0], &[3, 4]));
    labs[0].receive(0, support(first.hash(), &[0], &[0]));
    labs.iter_mut().for_each(|lab| lab.advance_to(3.05));
    labs[1].command(Command::Block(first.clone()));
    (0..2).for_each(|_| pass_on(&mut labs));
    labs.iter_mut().for_each(|lab| lab.advance_to(6.0));
    let decided = labs.each_ref().map(|lab| lab.decision().map(|(value, _)| value));
    assert_eq!(decided, [Some(value(&first)); 2], "they agree");
    assert!(labs.iter().all(|lab| lab.penalties.is_empty()), "honest nodes are not blamed");
}

/// Support that overtakes the body of its block is looked at again when the block is extracted.
#[test]
fn s1_support_for_a_block_that_is_extracted_a_moment_later_is_accepted_then() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 5, 3);
    lab.command(Command::Pending(true));
    lab.advance_to(2.1);
    lab.receive(2, chain(&first, &[0], &[2, 3]));
    lab.receive(2, support(first.hash(), &[0], &[2]));
    assert!(lab.told(is_support).is_empty());
    lab.command(Command::Block(first.clone()));
    assert_eq!(lab.told(is_support).len(), 4);
    lab.advance_to(6.0);
    assert_eq!(lab.decision(), Some((value(&first), false)));
}

/// With `f ≥ n/3` the vote of the leader alone is support: a block that reaches nobody in window 1 would be decided
/// by its leader and by nobody else.
#[test]
fn e1_a_leader_that_cannot_build_at_its_start_lets_its_turn_pass() {
    for fast in [true, false] {
        let mut lab = Lab::with(config(0, fast), Vec::new(), 4, 2);
        let late = lab.to_build.take();
        lab.command(Command::Pending(true));
        lab.advance_to(0.95);
        lab.to_build = late;
        lab.command(Command::Pending(true));
        lab.advance_to(5.0);
        assert_eq!(lab.decision(), Some((Value::Skip, false)), "fast: {fast}");
    }
}

#[test]
fn e1_a_leader_that_can_build_a_moment_later_does() {
    let mut lab = Lab::new(0, 4, 1);
    let soon = lab.to_build.take();
    lab.command(Command::Pending(true));
    lab.advance_to(0.1);
    lab.to_build = soon;
    lab.command(Command::Pending(true));
    assert_eq!(lab.signed(), [(Kind::Vote, value(&block(1, 0, 1)))]);
}

/// A leader that was restarted waits for peers before it builds, and its clock decides nothing.
#[test]
fn e1_a_late_leader_has_its_own_first_window() {
    let mut lab = Lab::just_joined(config(0, true), Vec::new(), 4, 1);
    let soon = lab.to_build.take();
    lab.command(Command::Pending(true));
    lab.advance_to(0.9);
    lab.to_build = soon;
    lab.command(Command::Pending(true));
    assert_eq!(lab.signed(), [(Kind::Vote, value(&block(1, 0, 1)))]);
}

#[test]
fn c1_this_nodes_own_vote_can_be_the_last_of_a_certificate() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    [2, 3].into_iter().for_each(|voter| lab.receive(voter, skip(&[voter])));
    lab.advance_to(1.0);
    assert_eq!(lab.decision(), Some((Value::Skip, true)));
}

#[test]
fn p2_the_closing_of_a_suspended_validator_does_not_count() {
    let mut suspended = set(4, 1).as_ref().clone();
    suspended.members[2].suspended = true;
    let mut lab = Lab::new(1, 4, 1);
    let validators = Arc::new(suspended);
    lab.command(Command::Begin { height: 1, validators, leader: key(0).public() });
    lab.advance_to(0.5);
    lab.command(Command::Pending(true));
    [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.advance_to(4.5);
    assert!(lab.has(|event| *event == Event::Halted { height: 1, closing: 2, quorum: 3 }));
}

/// One liar's word must not make the others settle on a block that nobody has.
#[test]
fn p3_nobody_settles_on_a_block_that_is_not_extracted() {
    for kind in [Kind::Settle, Kind::Commit] {
        let unknown = value(&block(1, 0, 9));
        let said = signatures(1, kind, unknown, &[2]);
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        lab.advance_to(5.0);
        let message = match kind {
            Kind::Settle => Message::Settle { height: 1, value: unknown, settles: said },
            _ => Message::Commit { height: 1, value: unknown, commits: said },
        };
        lab.receive(2, message);
        [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
        lab.advance_to(6.1);
        assert!(lab.signed().contains(&(Kind::Settle, Value::Skip)), "{kind:?}");
    }
}

fn settles(value: Value, signers: &[usize]) -> Message {
    Message::Settle { height: 1, value, settles: signatures(1, Kind::Settle, value, signers) }
}

fn commits(value: Value, signers: &[usize]) -> Message {
    Message::Commit { height: 1, value, commits: signatures(1, Kind::Commit, value, signers) }
}

/// Of three honest validators of five one decides by its own clock, and so never settles; the other two are late, and two faulty
/// ones are silent.
#[test]
fn p3_the_commit_of_who_decided_by_its_own_clock_counts_like_a_settle() {
    let mut lab = Lab::just_joined(config(1, true), Vec::new(), 5, 2);
    lab.command(Command::Pending(true));
    lab.advance_to(4.0);
    [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.receive(2, commits(Value::Skip, &[2]));
    lab.advance_to(6.1);
    assert!(lab.signed().contains(&(Kind::Settle, Value::Skip)));
    assert_eq!(lab.decision(), None, "two of three");
    lab.receive(3, settles(Value::Skip, &[3]));
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
}

/// With `f ≥ n/2` the faulty ones are enough for all settles and commits that a late height asks for. Who has seen the height
/// from its beginning goes by its own clock, and by `f + 1` commits.
#[test]
fn p3_settles_of_faulty_validators_alone_hurry_nobody() {
    let mut lab = Lab::new(1, 4, 2);
    lab.command(Command::Pending(true));
    lab.receive(2, settles(Value::Skip, &[2, 3]));
    lab.receive(2, commits(Value::Skip, &[2, 3]));
    assert_eq!(lab.decision(), None);
    assert!(lab.machine.is_timed(lab.now), "it needs nobody to tell it");
    lab.propose(&block(1, 0, 1));
    lab.advance_to(5.0);
    assert_eq!(lab.decision(), Some((value(&block(1, 0, 1)), false)));

    let late = Lab::just_joined(config(1, true), Vec::new(), 4, 2);
    assert!(!late.machine.is_timed(late.now), "who was away has to believe others");
}

/// A laptop that sleeps stops every validator of a network on it at once.
#[test]
fn p3_in_plain_mode_a_node_whose_clock_slept_says_that_it_closes() {
    let mut lab = Lab::with(config(1, false), Vec::new(), 4, 1);
    lab.command(Command::Pending(true));
    lab.now = crate::time::Time::after_start(DELTA * 40);
    lab.advance_to(21.0);
    assert_eq!(lab.told(|message| *message == closing()).len(), 3);
}

#[test]
fn a_restarted_validator_that_signed_for_two_blocks_signs_for_no_third() {
    let slot = Slot { network: NETWORK, height: 1 };
    let records = [(Kind::Vote, 1), (Kind::Endorse, 2)].map(|(kind, number)| {
        let value = value(&block(1, 0, number));
        SignedRecord { height: 1, kind, value, signature: slot.sign(&key(1), kind, &value) }
    });
    let mut lab = Lab::with(config(1, true), records.to_vec(), 4, 1);
    lab.propose(&block(1, 0, 3));
    assert!(lab.machine.is_open() && lab.signed().is_empty());
}

/// A node that went on without a certificate learns of it from anybody to whom it says its commit again.
#[test]
fn r1_a_commit_to_something_else_is_answered_with_the_certificate() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 2);
    lab.propose(&first);
    lab.receive(2, chain(&first, &[0, 2, 3], &[]));
    assert_eq!(lab.decision(), Some((value(&first), true)));
    for height in [2, 3] {
        lab.command(Command::Begin { height, validators: set(4, 2), leader: key(0).public() });
    }
    lab.forget();
    let commits = signatures(1, Kind::Commit, Value::Skip, &[3]);
    lab.receive(3, Message::Commit { height: 1, value: Value::Skip, commits });
    let is_certificate = |message: &Message| matches!(message, Message::Certificate { height: 1, .. });
    assert_eq!(lab.told(is_certificate), [peer(3)]);
}

/// Validators 2 and 3 have voted to skip, as was decided; a certificate that is kept until the height is over shows that they
/// voted for a block too.
#[test]
fn r1_a_certificate_that_comes_too_late_is_evidence_against_those_who_voted_twice() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 5, 2);
    lab.command(Command::Pending(true));
    lab.receive(2, skip(&[2, 3]));
    lab.advance_to(5.0);
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
    lab.command(Command::Begin { height: 2, validators: set(5, 2), leader: key(1).public() });
    lab.receive(4, certificate(value(&first), &[0, 2, 3, 4], &[]));
    for voter in 0..5 {
        let is_accused = |event: &Event| matches!(event, Event::Misbehaved { validator, height: 1, .. } if *validator == key(voter).public());
        assert_eq!(lab.has(is_accused), [2, 3].contains(&voter), "validator {voter}");
    }
}
