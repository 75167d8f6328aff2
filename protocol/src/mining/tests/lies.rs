//! Peers that lie, withhold and flood: one test for each way.

use super::lab::{Lab, NOW, at, mine, parameters, peer, record, seal};
use crate::{
    machine::{Input, Machine},
    mining::{CompactBlock, LOW_WORK, MAX_HEADERS_ANSWERED, Message, Place, Request, Response},
    penalty::Severity,
};
use conclave_ledger::{
    block::{Block, Header},
    hash::Hash,
    proof_of_work::{CompactTarget, Nonce, Position, Seal},
};
use std::sync::Arc;

pub(super) const LIAR: usize = 9;

/// One honest node with a liar for a peer.
pub(super) fn with_liar() -> Lab {
    let mut lab = Lab::new(1);
    lab.mine(0);
    lab.hosts[0].mining.handle(Input::Connected(peer(LIAR)), lab.now);
    lab.hosts[0].settle(lab.now);
    lab
}

pub(super) fn send(lab: &mut Lab, message: Message) -> Vec<(usize, Message)> {
    lab.hosts[0].mining.handle(Input::Received(peer(LIAR), message), lab.now);
    lab.hosts[0].settle(lab.now)
}

fn next_block(lab: &Lab) -> Block {
    mine(&lab.hosts[0].chain, 7, &[record("next")]).as_ref().clone()
}

pub(super) fn announce(lab: &mut Lab, block: &Block) -> Vec<(usize, Message)> {
    send(lab, Message::Announce(CompactBlock::of(block)))
}

/// A header that keeps every rule after `position`, as far as headers tell.
pub(super) fn blind(lab: &Lab, position: &Position, miner: u8) -> Header {
    let mut block = Block {
        header: Header {
            network: lab.hosts[0].chain.network(),
            height: position.height + 1,
            parent: position.hash,
            leader: conclave_ledger::keys::PublicKey([miner; 32]),
            timestamp: position.timestamp + 1_000,
            state: Hash([0xbb; 32]),
            proofs: Block::proofs_hash(&[]),
            transactions: Block::transactions_root(&[]),
            work: Some(Seal { target: position.next_target(&parameters()), nonce: Nonce([0; 8]) }),
        },
        proofs: Vec::new(),
        transactions: Vec::new(),
    };
    seal(&mut block);
    block.header
}

pub(super) fn number_of_request(sent: &[(usize, Message)], wanted: impl Fn(&Request) -> bool) -> u64 {
    let number = sent.iter().find_map(|(_, message)| match message {
        Message::Request { number, request } if wanted(request) => Some(*number),
        _ => None,
    });
    number.unwrap_or_else(|| panic!("no such request in {sent:?}"))
}

#[test]
fn tampered_headers_are_provable_lies() {
    type Tamper = fn(&mut Block);
    let cases: [(&str, Tamper); 6] = [
        ("hash", |block| {
            let easiest = parameters().easiest();
            while easiest.is_met_by(&block.header.hash()) {
                block.header.work.as_mut().unwrap().nonce.0[7] += 1;
            }
        }),
        ("target", |block| {
            block.header.work.as_mut().unwrap().target = CompactTarget(0x2100_ffff);
            seal(block);
        }),
        ("missing-work", |block| block.header.work = None),
        ("network", |block| {
            block.header.network = Hash([1; 32]);
            seal(block);
        }),
        ("height", |block| {
            block.header.height += 1;
            seal(block);
        }),
        ("timestamp", |block| {
            block.header.timestamp = NOW;
            seal(block);
        }),
    ];
    for (rule, tamper) in cases {
        let mut lab = with_liar();
        let mut block = next_block(&lab);
        tamper(&mut block);
        announce(&mut lab, &block);
        let host = &lab.hosts[0];
        assert_eq!(host.refused, [rule]);
        assert!(matches!(host.blamed.as_slice(), [(LIAR, Severity::Fatal, _)]), "{rule}: {:?}", host.blamed);
        assert_eq!(host.chain.tip().height, 1);
    }
}

#[test]
fn an_orphan_without_work_is_a_lie_and_one_with_work_a_question() {
    let mut lab = with_liar();
    let mut orphan = next_block(&lab);
    orphan.header.parent = Hash([7; 32]);
    orphan.header.height = 40;
    seal(&mut orphan);
    // The question of the beginning is still open: it is not asked twice.
    assert_eq!(announce(&mut lab, &orphan), []);
    assert_eq!(lab.hosts[0].blamed, []);
    let easiest = parameters().easiest();
    while easiest.is_met_by(&orphan.header.hash()) {
        orphan.header.work.as_mut().unwrap().nonce.0[6] += 1;
    }
    announce(&mut lab, &orphan);
    assert!(matches!(lab.hosts[0].blamed.as_slice(), [(LIAR, Severity::Fatal, _)]));
}

#[test]
fn an_invalid_body_is_blamed_on_who_gave_it_and_not_tried_again() {
    let mut lab = with_liar();
    let mut block = next_block(&lab);
    block.header.state = Hash([3; 32]);
    seal(&mut block);
    let sent = announce(&mut lab, &block);
    let number = number_of_request(&sent, |request| matches!(request, Request::Transactions { .. }));
    send(
        &mut lab,
        Message::Response { number, response: Response::Transactions(block.transactions.clone()) },
    );
    assert_eq!(lab.hosts[0].refused, ["state"]);
    assert!(matches!(lab.hosts[0].blamed.as_slice(), [(LIAR, Severity::Fatal, _)]));
    assert_eq!(lab.hosts[0].chain.tip().height, 1);
    announce(&mut lab, &block);
    assert_eq!(lab.hosts[0].refused, ["state", "invalid-branch"]);
}

#[test]
fn other_transactions_than_the_headers_are_not_taken() {
    let mut lab = with_liar();
    let block = next_block(&lab);
    let sent = announce(&mut lab, &block);
    let number = number_of_request(&sent, |request| matches!(request, Request::Transactions { .. }));
    let other = vec![record("something else")];
    let sent = send(&mut lab, Message::Response { number, response: Response::Transactions(other.clone()) });
    assert_eq!(lab.hosts[0].chain.tip().height, 1);
    // It may have been two of one short id: the whole block is asked for.
    let number = number_of_request(&sent, |request| matches!(request, Request::Blocks(_)));
    let tampered = Arc::new(Block { transactions: other, ..block.clone() });
    send(&mut lab, Message::Response { number, response: Response::Blocks(vec![tampered]) });
    assert_eq!(lab.hosts[0].refused, ["body"]);
    assert!(matches!(lab.hosts[0].blamed.as_slice(), [(LIAR, Severity::Fatal, _)]));
}

#[test]
fn blocks_that_nobody_asked_for_are_a_lie() {
    let mut lab = with_liar();
    let block = next_block(&lab);
    let sent = announce(&mut lab, &block);
    let number = number_of_request(&sent, |request| matches!(request, Request::Transactions { .. }));
    let sent = send(&mut lab, Message::Response { number, response: Response::Transactions(Vec::new()) });
    let number = number_of_request(&sent, |request| matches!(request, Request::Blocks(_)));
    let mut other = block.clone();
    other.header.timestamp += 1;
    send(&mut lab, Message::Response { number, response: Response::Blocks(vec![Arc::new(other)]) });
    assert_eq!(lab.hosts[0].refused, ["blocks"]);
}

#[test]
fn a_flood_of_low_work_is_stopped_and_the_chain_goes_on() {
    let mut lab = with_liar();
    let start = Position::start(&super::lab::genesis());
    let mut given = 0;
    while lab.hosts[0].blamed.is_empty() {
        if given == LOW_WORK.capacity / 2 {
            // Its channel was closed and is open again: it begins no new account.
            lab.hosts[0].mining.handle(Input::Connected(peer(LIAR)), lab.now);
        }
        let mut header = blind(&lab, &start, (given % 251) as u8);
        header.timestamp += given;
        let mut block = Block { header, proofs: Vec::new(), transactions: Vec::new() };
        seal(&mut block);
        announce(&mut lab, &block);
        given += 1;
        assert!(given < 2 * LOW_WORK.capacity, "nobody stops it");
    }
    assert!(given > LOW_WORK.capacity, "an honest peer has forks to tell of");
    assert_eq!(lab.hosts[0].refused, ["low-work"]);
    lab.mine(0);
    assert_eq!(lab.hosts[0].chain.tip().height, 2);
}

/// A longer chain of headers whose blocks never come: everybody is asked, and the honest chain goes on.
#[test]
fn headers_without_blocks_hold_nobody_up() {
    let mut lab = Lab::new(2);
    lab.connect_all();
    lab.mine(0);
    lab.hosts[0].mining.handle(Input::Connected(peer(LIAR)), lab.now);
    let sent = lab.hosts[0].settle(lab.now);
    let number = number_of_request(&sent, |request| matches!(request, Request::Headers(_)));
    let mut position = lab.hosts[0].chain.position().unwrap();
    let mut headers = Vec::new();
    for miner in 0..20 {
        let header = blind(&lab, &position, miner);
        position = position.after(&header, header.hash(), &parameters());
        headers.push(header);
    }
    let sent = send(&mut lab, Message::Response { number, response: Response::Headers(headers) });
    let asked: Vec<usize> = sent.iter().map(|(to, _)| *to).collect();
    assert!(asked.contains(&LIAR) && asked.contains(&1), "{sent:?}");
    let number = number_of_request(
        &sent.iter().filter(|(to, _)| *to == LIAR).cloned().collect::<Vec<_>>(),
        |request| matches!(request, Request::Blocks(_)),
    );
    send(&mut lab, Message::Response { number, response: Response::Blocks(Vec::new()) });
    for _ in 0..3 {
        lab.mine(1);
    }
    assert_eq!(lab.heights(), [4, 4]);
}

#[test]
fn more_headers_than_asked_for_or_out_of_order_are_a_lie() {
    for (count, order) in [(MAX_HEADERS_ANSWERED + 1, false), (2, true)] {
        let mut lab = Lab::new(1);
        lab.hosts[0].mining.handle(Input::Connected(peer(LIAR)), lab.now);
        let sent = lab.hosts[0].settle(lab.now);
        let number = number_of_request(&sent, |request| matches!(request, Request::Headers(_)));
        let header = blind(&lab, &Position::start(&super::lab::genesis()), 1);
        let headers = (0..count as u64)
            .map(|step| Header { height: if order { 1 } else { 1 + step }, ..header.clone() });
        send(&mut lab, Message::Response { number, response: Response::Headers(headers.collect()) });
        assert_eq!(lab.hosts[0].refused, ["headers"]);
    }
}

#[test]
fn who_does_not_answer_is_blamed_a_little() {
    let mut lab = with_liar();
    let deadline = lab.hosts[0].mining.poll_timeout().unwrap();
    assert_eq!(deadline, at(5_000));
    lab.wait(5_000);
    assert!(matches!(lab.hosts[0].blamed.as_slice(), [(LIAR, Severity::Slight, _)]));
}

/// What was never on the chain is not given: whoever gives it would be blamed for it.
#[test]
fn only_blocks_that_were_adopted_are_given() {
    let mut lab = with_liar();
    let (first, second) = (lab.hosts[0].stored[&1].clone(), next_block(&lab));
    let places = |block: &Block| vec![Place { height: block.header.height, hash: block.hash() }];
    let ask = |lab: &mut Lab, block: &Block| {
        let request = Request::Blocks(places(block));
        let sent = send(lab, Message::Request { number: 5, request });
        match sent.as_slice() {
            [(LIAR, Message::Response { number: 5, response: Response::Blocks(blocks) })] => blocks.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((ask(&mut lab, &first), ask(&mut lab, &second)), (1, 0));
}
