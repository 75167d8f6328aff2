//! Bodies of blocks: which are kept, how many, and that an honest run loses none.

use super::lab::*;
use crate::consensus::{Command, Event, MAX_BODIES, MAX_EXTRACTED};
use conclave_ledger::{
    block::Block,
    signed::{Kind, Value},
};
use std::sync::Arc;

fn votes_for(lab: &Lab, block: &Arc<Block>) -> bool {
    lab.signed().contains(&(Kind::Vote, Value::Block(block.hash())))
}

fn is_pulled(lab: &Lab, wanted: &Arc<Block>) -> bool {
    lab.has(|event| matches!(event, Event::Fetch { block, .. } if *block == wanted.hash()))
}

#[test]
fn a_body_may_come_before_its_chain_or_be_overtaken_by_it() {
    let first = block(1, 0, 1);
    for body_first in [true, false] {
        let mut lab = Lab::new(1, 4, 1);
        let mut messages = vec![body(&first), chain(&first, &[0], &[])];
        if !body_first {
            messages.reverse();
        }
        messages.into_iter().for_each(|message| lab.receive(0, message));
        assert!(votes_for(&lab, &first) && !is_pulled(&lab, &first), "body first: {body_first}");
    }
}

#[test]
fn a_body_that_another_resends_is_kept_after_its_chain_and_pulled_if_it_came_before() {
    let first = block(1, 0, 1);
    let mut lab = Lab::new(1, 4, 1);
    lab.receive(2, chain(&first, &[0, 2], &[]));
    lab.receive(2, body(&first));
    assert!(votes_for(&lab, &first));

    let mut lab = Lab::new(1, 4, 1);
    lab.receive(2, body(&first));
    assert_eq!(lab.machine.bodies(), 0, "nobody but the leader brings bodies that no chain names");
    lab.receive(2, chain(&first, &[0, 2], &[]));
    lab.advance_to(0.2);
    assert!(is_pulled(&lab, &first));
    lab.command(Command::Block(first.clone()));
    assert!(votes_for(&lab, &first));
}

#[test]
fn bodies_that_no_chain_names_are_bounded_whoever_sends_them() {
    let mut lab = Lab::new(1, 7, 2);
    lab.command(Command::Pending(true));
    for number in 0..40 {
        let from = [0, 2, 3, 4, 5, 6][number as usize % 6];
        lab.receive(from, body(&block(1, 0, number)));
        assert!(lab.machine.bodies() <= MAX_EXTRACTED, "after {number}");
    }
    // The block of an honest chain finds room all the same.
    let signed = block(1, 0, 200);
    lab.receive(0, chain(&signed, &[0], &[]));
    lab.advance_to(0.2);
    assert!(is_pulled(&lab, &signed));
    lab.command(Command::Block(signed.clone()));
    assert!(votes_for(&lab, &signed));
    assert!(lab.machine.bodies() <= MAX_EXTRACTED);
}

/// A faulty leader signs ten blocks, and its friends name two of them each: none but those that can be extracted is
/// pulled or kept.
#[test]
fn chains_that_are_too_short_bring_no_bodies() {
    let mut lab = Lab::new(1, 7, 2);
    lab.command(Command::Pending(true));
    lab.advance_to(1.5);
    let blocks: Vec<Arc<Block>> = (1..=10).map(|number| block(1, 0, number)).collect();
    for (index, short) in blocks.iter().enumerate() {
        let from = 2 + index / 2;
        lab.receive(from, chain(short, &[0], &[]));
        lab.receive(from, body(short));
    }
    lab.advance_to(1.9);
    assert_eq!(lab.machine.bodies(), 0);
    assert!(!lab.has(|event| matches!(event, Event::Fetch { .. })));
    // One of them grows long enough for window 2.
    lab.receive(2, chain(&blocks[0], &[0], &[2]));
    lab.receive(2, body(&blocks[0]));
    assert!(lab.signed().contains(&(Kind::Endorse, Value::Block(blocks[0].hash()))));
    assert!(lab.machine.bodies() <= MAX_EXTRACTED);
}

#[test]
fn a_certificates_block_has_room_beside_those_that_are_extracted() {
    let blocks: Vec<Arc<Block>> = (1..=3).map(|number| block(1, 0, number)).collect();
    let mut lab = Lab::new(1, 4, 1);
    for extracted in &blocks[..2] {
        lab.receive(0, chain(extracted, &[0], &[]));
        lab.receive(0, body(extracted));
    }
    assert_eq!(lab.machine.bodies(), MAX_EXTRACTED);
    lab.receive(2, certificate(Value::Block(blocks[2].hash()), &[0, 2, 3], &[]));
    lab.advance_to(0.2);
    assert!(is_pulled(&lab, &blocks[2]));
    lab.command(Command::Block(blocks[2].clone()));
    assert_eq!(lab.decision(), Some((Value::Block(blocks[2].hash()), true)));
    assert!(lab.machine.bodies() <= MAX_BODIES);
}
