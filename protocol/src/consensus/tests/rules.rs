//! Each rule of the consensus page by a script: who says what in which window. Four validators, one of them faulty,
//! so `q` is 3, support is 2, extraction lasts for two windows and the last window is the fourth, except where a
//! test says otherwise. The machine under test is validator 1; validator 0 leads.

use super::lab::*;
use crate::consensus::{Command, Event, Message, SignedRecord};
use conclave_ledger::{
    proof::Proof,
    signed::{Kind, Slot, Value},
};

fn value(block: &std::sync::Arc<conclave_ledger::block::Block>) -> Value {
    Value::Block(block.hash())
}

fn closing() -> Message {
    Message::Closing { height: 1 }
}

fn is_closing(message: &Message) -> bool {
    matches!(message, Message::Closing { .. })
}

/// Two votes that come in time and help nothing along: with the own one they are those of a quorum.
fn votes_come_in_time(lab: &mut Lab) {
    lab.receive(2, chain(&block(1, 0, 99), &[2], &[0]));
    lab.receive(3, skip(&[3]));
}

// --- Opening -----------------------------------------------------------------------------------------------------

#[test]
fn an_idle_height_says_nothing() {
    let mut lab = Lab::new(1, 4, 1);
    lab.advance_to(20.0);
    assert!(lab.sent.is_empty() && lab.events.is_empty());
}

#[test]
fn votes_alone_and_chains_without_their_block_open_nothing() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.receive(2, skip(&[2]));
    lab.receive(0, chain(&first, &[0], &[]));
    lab.receive(3, Message::Closing { height: 1 });
    assert!(!lab.machine.is_open());
    lab.receive(0, body(&first));
    assert!(lab.machine.is_open(), "a block with the leader's signature opens");
}

#[test]
fn a_pending_transaction_or_a_certificate_opens() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    assert!(lab.machine.is_open());
    let mut lab = Lab::new(1, 4, 1);
    lab.receive(2, certificate(Value::Skip, &[0, 2, 3], &[]));
    assert_eq!(lab.decision(), Some((Value::Skip, true)));
}

#[test]
fn what_came_before_the_height_is_kept_for_it() {
    let mut lab = Lab::new(1, 4, 1);
    let next = block(2, 0, 7);
    lab.receive(0, body(&next));
    lab.receive(0, chain(&next, &[0], &[]));
    lab.receive(2, chain(&next, &[0, 2], &[]));
    lab.receive(2, certificate(Value::Skip, &[0, 2, 3], &[]));
    lab.forget();
    lab.command(Command::Begin { height: 2, validators: set(4, 1), leader: key(0).public() });
    assert_eq!(lab.decision(), Some((value(&next), true)), "with its own vote these are three");
}

// --- E1 to E3 ----------------------------------------------------------------------------------------------------

#[test]
fn e1_the_leader_votes_for_its_block_and_sends_both_to_all() {
    let mut lab = Lab::new(0, 4, 1);
    lab.command(Command::Pending(true));
    let first = block(1, 0, 1);
    assert_eq!(lab.signed(), [(Kind::Vote, value(&first))]);
    assert_eq!(lab.told(|message| *message == body(&first)).len(), 3);
    assert_eq!(lab.told(|message| *message == chain(&first, &[0], &[])).len(), 3);
}

#[test]
fn e2_a_complete_chain_in_window_one_gets_this_nodes_vote() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    assert_eq!(lab.signed(), [(Kind::Vote, value(&first))]);
    assert_eq!(lab.told(|message| *message == chain(&first, &[0, 1], &[])).len(), 3);
}

#[test]
fn e2_in_window_w_a_chain_needs_w_signatures() {
    let first = block(1, 0, 1);
    for (window, signers, extracted) in [
        (1.5, vec![0], false),
        (1.5, vec![0, 2], true),
        (2.5, vec![0, 2], false),
        (2.5, vec![0, 2, 3], false),
    ] {
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        votes_come_in_time(&mut lab);
        lab.advance_to(window);
        lab.forget();
        lab.receive(0, body(&first));
        lab.receive(2, chain(&first, &signers, &[]));
        let endorsed = lab.signed().contains(&(Kind::Endorse, value(&first)));
        assert_eq!(endorsed, extracted, "{} signatures after {window} windows", signers.len());
    }
}

#[test]
fn e2_an_incomplete_chain_waits_for_its_block_and_pulls_it() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.receive(0, chain(&first, &[0], &[]));
    assert!(lab.signed().is_empty());
    lab.advance_to(0.2);
    assert!(lab.has(|event| matches!(event, Event::Fetch { peers, .. } if peers.first() == Some(&peer(0)))));
    lab.command(Command::Block(first.clone()));
    assert_eq!(lab.signed(), [(Kind::Vote, value(&first))]);
}

#[test]
fn e2_two_blocks_are_extracted_and_a_third_is_ignored() {
    let blocks = [1, 2, 3].map(|number| block(1, 0, number));
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&blocks[0]);
    for (from, other) in [(2, &blocks[1]), (3, &blocks[2])] {
        lab.receive(from, chain(other, &[], &[0]));
        lab.receive(from, body(other));
    }
    assert_eq!(lab.signed(), [(Kind::Vote, value(&blocks[0])), (Kind::Endorse, value(&blocks[1]))]);
}

#[test]
fn e2_the_second_vote_of_an_equivocating_leader_makes_a_chain_too() {
    let (first, second) = (block(1, 0, 1), block(1, 0, 2));
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.receive(2, chain(&second, &[0, 2], &[]));
    lab.receive(2, body(&second));
    assert_eq!(lab.signed(), [(Kind::Vote, value(&first)), (Kind::Endorse, value(&second))]);
    assert_eq!(lab.told(|message| *message == chain(&second, &[0, 2], &[1])).len(), 3);
}

#[test]
fn e3_an_invalid_block_is_extracted_but_never_voted_for_and_never_decided() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.invalid.insert(first.hash());
    lab.propose(&first);
    assert_eq!(lab.signed(), [(Kind::Endorse, value(&first))]);
    lab.receive(2, support(first.hash(), &[0, 2], &[]));
    [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.advance_to(2.5);
    lab.receive(2, support(first.hash(), &[0, 2], &[2]));
    lab.advance_to(5.0);
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
}

// --- V1, C1 to C3 ------------------------------------------------------------------------------------------------

#[test]
fn v1_who_has_not_voted_by_the_end_of_window_one_votes_skip_and_no_more() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.advance_to(0.99);
    assert!(lab.signed().is_empty());
    lab.advance_to(1.0);
    assert_eq!(lab.signed(), [(Kind::Vote, Value::Skip)]);
    assert_eq!(lab.told(|message| *message == skip(&[1])).len(), 3);
    lab.receive(0, body(&first));
    lab.receive(2, chain(&first, &[0, 2], &[]));
    assert_eq!(lab.signed(), [(Kind::Vote, Value::Skip), (Kind::Endorse, value(&first))]);
}

#[test]
fn c1_a_certificate_assembled_from_votes_counts_in_windows_one_and_two_only() {
    for (at, decision) in [(0.5, true), (1.5, true), (2.1, false)] {
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        if at > 2.0 {
            votes_come_in_time(&mut lab);
        }
        lab.advance_to(at);
        [0, 2, 3].into_iter().for_each(|voter| lab.receive(voter, skip(&[voter])));
        assert_eq!(lab.decision(), decision.then_some((Value::Skip, true)), "after {at} windows");
    }
}

#[test]
fn c1_needs_a_quorum_of_distinct_voters() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.receive(0, chain(&first, &[0], &[]));
    assert_eq!(lab.decision(), None, "two of four");
    lab.receive(2, chain(&first, &[0], &[2]));
    assert_eq!(lab.decision(), None, "an endorsement is no vote");
    lab.receive(3, chain(&first, &[0, 3], &[]));
    assert_eq!(lab.decision(), Some((value(&first), true)));
}

#[test]
fn c2_the_certificate_goes_with_a_relay_to_those_who_have_not_shown_that_they_decided() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.receive(2, chain(&first, &[0, 2], &[]));
    assert_eq!(lab.decision(), Some((value(&first), true)));
    lab.receive(0, Message::Decided { height: 1, proofs: 0 });
    lab.receive(2, Message::Skip { height: 2, votes: signatures(2, Kind::Vote, Value::Skip, &[2]) });
    lab.advance_to(0.2);
    let with_relay =
        |message: &Message| matches!(message, Message::Certificate { relays, .. } if relays.contains(1));
    assert_eq!(lab.told(with_relay), [peer(3)]);
    assert!(lab.signed().contains(&(Kind::RelayCertificate, value(&first))));
}

#[test]
fn c2_a_certificate_of_the_last_window_decides_at_its_end() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    votes_come_in_time(&mut lab);
    lab.advance_to(3.5);
    lab.receive(2, certificate(Value::Skip, &[0, 2, 3], &[2, 3]));
    assert_eq!(lab.decision(), None);
    lab.advance_to(4.0);
    assert_eq!(lab.decision(), Some((Value::Skip, true)));
}

#[test]
fn c3_a_certificate_in_a_message_needs_more_relays_in_later_windows() {
    for (at, relays, accepted) in [
        (0.5, vec![], true),
        (1.9, vec![], true),
        (2.1, vec![], false),
        (2.1, vec![2], true),
        (3.1, vec![2], false),
        (3.1, vec![2, 3], true),
    ] {
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        votes_come_in_time(&mut lab);
        lab.advance_to(at);
        lab.receive(2, certificate(Value::Skip, &[0, 2, 3], &relays));
        [0, 2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
        lab.advance_to(4.0);
        assert_eq!(
            lab.decision(),
            Some((Value::Skip, accepted)),
            "{} relays after {at} windows",
            relays.len()
        );
    }
}

// --- S1 ----------------------------------------------------------------------------------------------------------

#[test]
fn s1_support_is_relayed_at_the_end_of_window_two_unless_a_certificate_was_accepted() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.advance_to(1.99);
    assert!(lab.told(|message| matches!(message, Message::Support { .. })).is_empty());
    lab.advance_to(2.0);
    assert_eq!(lab.told(|message| *message == support(first.hash(), &[0, 1], &[1])).len(), 3);
}

#[test]
fn s1_support_in_a_message_is_counted_like_a_certificate_and_sent_on() {
    let first = block(1, 0, 1);
    for (at, relays, accepted) in
        [(2.1, vec![], false), (2.1, vec![2], true), (3.1, vec![2], false), (3.1, vec![2, 3], true)]
    {
        let mut lab = Lab::new(1, 4, 1);
        lab.command(Command::Pending(true));
        votes_come_in_time(&mut lab);
        lab.advance_to(1.1);
        lab.receive(0, body(&first));
        lab.receive(2, chain(&first, &[], &[0, 2]));
        lab.advance_to(at);
        lab.forget();
        lab.receive(3, support(first.hash(), &[0, 3], &relays));
        let sent_on =
            lab.told(|message| matches!(message, Message::Support { relays, .. } if relays.contains(1)));
        assert_eq!(sent_on.len(), if accepted { 3 } else { 0 }, "{} relays after {at} windows", relays.len());
        [0, 2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
        lab.advance_to(4.0);
        let decision = if accepted { value(&first) } else { Value::Skip };
        assert_eq!(lab.decision(), Some((decision, false)));
    }
}

// --- P1 to P3, the end -------------------------------------------------------------------------------------------

#[test]
fn p1_who_is_undecided_at_the_start_of_the_last_window_says_so() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.advance_to(2.99);
    assert!(lab.told(is_closing).is_empty());
    lab.advance_to(3.0);
    assert_eq!(lab.told(is_closing).len(), 3);
}

#[test]
fn p2_without_closings_from_a_quorum_the_height_halts_and_a_certificate_still_helps() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.receive(2, closing());
    lab.advance_to(4.0);
    assert!(lab.has(|event| *event == Event::Halted { height: 1, closing: 2, quorum: 3 }));
    lab.advance_to(50.0);
    assert_eq!(lab.decision(), None);
    lab.receive(2, certificate(Value::Skip, &[0, 2, 3], &[]));
    assert_eq!(lab.decision(), Some((Value::Skip, true)));
}

/// The others' votes come after window 2: they were cut off, and this node's windows say nothing of what they have.
#[test]
fn p2_without_votes_of_a_quorum_in_time_the_end_decides_nothing_and_p3_does() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.receive(3, skip(&[3]));
    lab.advance_to(3.2);
    lab.receive(0, body(&first));
    lab.receive(0, chain(&first, &[0, 2], &[]));
    lab.receive(0, support(first.hash(), &[0, 2], &[0, 2]));
    [0, 2].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.advance_to(4.0);
    assert_eq!(lab.decision(), None, "by its own clock it would skip what the others support");
    assert!(!lab.signed().iter().any(|(kind, _)| *kind == Kind::Commit));
    lab.advance_to(5.1);
    assert!(lab.signed().contains(&(Kind::Settle, value(&first))));
    let settles = signatures(1, Kind::Settle, value(&first), &[0, 2]);
    lab.receive(0, Message::Settle { height: 1, value: value(&first), settles });
    assert_eq!(lab.decision().map(|(decided, _)| decided), Some(value(&first)));
}

#[test]
fn p2_with_closings_from_a_quorum_the_end_decides_and_a_commit_proves_it() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    votes_come_in_time(&mut lab);
    [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.advance_to(4.0);
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
    assert!(lab.signed().contains(&(Kind::Commit, Value::Skip)));
    let commits = signatures(1, Kind::Commit, Value::Skip, &[2]);
    lab.receive(2, Message::Commit { height: 1, value: Value::Skip, commits });
    let proved =
        |event: &Event| matches!(event, Event::Proved { proof: Proof::Commits(set), .. } if set.len() == 2);
    assert!(lab.has(proved));
}

#[test]
fn with_more_faults_than_a_third_the_end_decides_without_a_quorum() {
    let mut lab = Lab::new(1, 4, 2);
    lab.command(Command::Pending(true));
    lab.advance_to(5.0);
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
}

#[test]
fn the_end_decides_one_extracted_and_supported_block_and_skips_where_there_are_two() {
    for (equivocates, expected) in [(false, true), (true, false)] {
        let (first, second) = (block(1, 0, 1), block(1, 0, 2));
        let mut lab = Lab::new(1, 4, 1);
        lab.propose(&first);
        lab.receive(3, skip(&[3]));
        if equivocates {
            lab.receive(2, chain(&second, &[], &[0, 2]));
            lab.receive(2, body(&second));
        }
        lab.advance_to(3.0);
        [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
        lab.advance_to(4.0);
        assert_eq!(lab.decision(), Some((if expected { value(&first) } else { Value::Skip }, false)));
    }
}

#[test]
fn commits_by_one_more_than_can_be_faulty_decide() {
    let mut lab = Lab::new(1, 4, 1);
    for (count, signers) in [(1, vec![2]), (2, vec![2, 3])] {
        let commits = signatures(1, Kind::Commit, Value::Skip, &signers);
        lab.receive(2, Message::Commit { height: 1, value: Value::Skip, commits });
        assert_eq!(lab.decision().is_some(), count == 2);
    }
}

#[test]
fn p3_a_halted_height_settles_once_a_quorum_can_close_it() {
    let mut lab = Lab::new(1, 4, 1);
    lab.command(Command::Pending(true));
    lab.advance_to(5.0);
    [2, 3].into_iter().for_each(|other| lab.receive(other, closing()));
    lab.advance_to(5.9);
    assert!(!lab.signed().contains(&(Kind::Settle, Value::Skip)), "one window for what is still on its way");
    lab.advance_to(6.0);
    assert!(lab.signed().contains(&(Kind::Settle, Value::Skip)));
    let settles = |signers: &[usize]| Message::Settle {
        height: 1,
        value: Value::Skip,
        settles: signatures(1, Kind::Settle, Value::Skip, signers),
    };
    lab.receive(2, settles(&[2]));
    assert_eq!(lab.decision(), None);
    lab.receive(3, settles(&[3]));
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
}

#[test]
fn p3_a_node_whose_clock_slept_does_not_decide_by_it() {
    let mut lab = Lab::new(1, 4, 2);
    lab.command(Command::Pending(true));
    lab.now = crate::time::Time::after_start(DELTA * 40);
    lab.advance_to(21.0);
    assert_eq!(lab.decision(), None, "with f ≥ n/3 a node that was awake would have decided to skip");
}

// --- R1 ----------------------------------------------------------------------------------------------------------

#[test]
fn r1_a_certificate_outranks_a_decision_without_one() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 2);
    lab.command(Command::Pending(true));
    lab.advance_to(5.0);
    assert_eq!(lab.decision(), Some((Value::Skip, false)));
    lab.command(Command::Begin { height: 2, validators: set(4, 2), leader: key(1).public() });
    lab.receive(2, certificate(value(&first), &[0, 1, 2, 3], &[]));
    assert!(!lab.has(|event| matches!(event, Event::Repair { .. })), "the commits are waited for");
    lab.advance_to(7.0);
    assert!(lab.has(|event| matches!(event, Event::Repair { height: 1, value: repaired, .. } if *repaired == value(&first))));
    lab.forget();
    lab.command(Command::Begin { height: 1, validators: set(4, 2), leader: key(0).public() });
    lab.propose(&first);
    assert!(!lab.signed().contains(&(Kind::Vote, value(&first))), "the vote of this height is spent");
    lab.receive(2, certificate(value(&first), &[0, 1, 2, 3], &[]));
    assert_eq!(lab.decision(), Some((value(&first), true)));
}

// --- Crash recovery ----------------------------------------------------------------------------------------------

#[test]
fn a_restarted_validator_sends_its_vote_again_and_never_signs_a_second() {
    let slot = Slot { network: NETWORK, height: 1 };
    let signature = slot.sign(&key(1), Kind::Vote, &Value::Skip);
    let record = SignedRecord { height: 1, kind: Kind::Vote, value: Value::Skip, signature };
    let mut lab = Lab::with(config(1, true), vec![record], 4, 1);
    lab.propose(&block(1, 0, 1));
    lab.advance_to(2.0);
    assert!(lab.signed().iter().all(|(kind, _)| *kind != Kind::Vote));
    lab.forget();
    lab.command(Command::Joined { peer: peer(2), key: key(2).public() });
    assert_eq!(lab.told(|message| *message == skip(&[1])), [peer(2)]);
}

#[test]
fn a_restarted_leader_builds_no_second_block_and_none_where_others_have_skipped() {
    let first = block(1, 0, 1);
    let slot = Slot { network: NETWORK, height: 1 };
    let signature = slot.sign(&key(0), Kind::Vote, &value(&first));
    let record = SignedRecord { height: 1, kind: Kind::Vote, value: value(&first), signature };
    let mut lab = Lab::with(config(0, true), vec![record], 4, 1);
    lab.to_build = Some(block(1, 0, 2));
    lab.command(Command::Pending(true));
    assert!(!lab.has(|event| matches!(event, Event::Build { .. })));

    let mut lab = Lab::just_joined(config(0, true), Vec::new(), 4, 1);
    lab.receive(2, skip(&[2]));
    lab.command(Command::Pending(true));
    assert!(!lab.has(|event| matches!(event, Event::Build { .. })));
}

// --- Plain mode --------------------------------------------------------------------------------------------------

#[test]
fn plain_mode_is_textbook_dolev_strong() {
    let first = block(1, 0, 1);
    let mut lab = Lab::with(config(1, false), Vec::new(), 4, 1);
    lab.receive(0, body(&first));
    lab.receive(0, chain(&first, &[], &[0]));
    assert_eq!(lab.signed(), [(Kind::Endorse, value(&first))], "no votes");
    lab.advance_to(1.99);
    assert_eq!(lab.decision(), None);
    lab.advance_to(2.0);
    assert_eq!(lab.decision(), Some((value(&first), false)), "at the end of window f+1");
}

// --- Evidence and blame ------------------------------------------------------------------------------------------

#[test]
fn two_votes_and_two_proposals_leave_evidence() {
    let (first, second) = (block(1, 0, 1), block(1, 0, 2));
    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.receive(2, chain(&first, &[0, 2], &[]));
    lab.receive(2, skip(&[2]));
    assert!(
        lab.has(
            |event| matches!(event, Event::Misbehaved { validator, .. } if *validator == key(2).public())
        )
    );

    let mut lab = Lab::new(1, 4, 1);
    lab.propose(&first);
    lab.receive(2, chain(&second, &[2], &[0]));
    assert!(
        lab.has(
            |event| matches!(event, Event::Misbehaved { validator, .. } if *validator == key(0).public())
        )
    );
}

#[test]
fn lies_are_blamed_on_the_peer_that_tells_them() {
    let first = block(1, 0, 1);
    let forged = Message::Skip { height: 1, votes: signatures(1, Kind::Endorse, Value::Skip, &[3]) };
    let foreign = Message::Skip { height: 1, votes: signatures(1, Kind::Vote, Value::Skip, &[9]) };
    let lies = [
        chain(&first, &[2], &[]),
        forged,
        foreign,
        certificate(Value::Skip, &[2, 3], &[]),
        support(first.hash(), &[2], &[2]),
    ];
    for lie in lies {
        let mut lab = Lab::new(1, 4, 1);
        lab.receive(2, lie.clone());
        assert_eq!(lab.penalties.len(), 1, "{lie:?}");
        assert_eq!(lab.penalties[0].0, peer(2));
    }
}
