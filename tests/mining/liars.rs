//! A node that offers tampered blocks: none is adopted, it is kept out, and the metrics say which rule was broken.

use super::{confirmations, record, running, submit, wait_rest};
use crate::{
    network::{Network, eventually},
    peer::{Attacker, Lane},
};
use conclave_ledger::{
    block::{Block, Decided},
    codec,
    hash::Hash,
    proof_of_work::{CompactTarget, Nonce, SealSearch},
};
use conclave_protocol::mining::CompactBlock;
use std::time::Duration;

const REFUSED: &str = "conclave_refused_blocks_total";
const PENALTIES: &str = "conclave_penalties_total";

fn framed(body: &[u8]) -> Vec<u8> {
    [(body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

/// Gives a header the nonce that its target asks for.
fn seal(block: &mut Block) {
    let nonce = SealSearch::new(&block.header).unwrap().find(0, u64::MAX).unwrap();
    block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
}

/// The block at a height, as a node gives it.
fn block_at(network: &Network, height: u64) -> Block {
    let info = network.block_on(network.client(0).block(height)).unwrap();
    let Decided::Block(block) = info.record else { panic!("a skip among miners") };
    block.as_ref().clone()
}

#[test]
fn tampered_blocks_are_refused_by_rule_and_their_sender_is_kept_out() {
    let network = running(2);
    for number in 0..3 {
        let record = record(&network, &format!("{number}"));
        submit(&network, number % 2, &record);
        eventually("it is mined", || (confirmations(&network, 0, &record.id()) > 0).then_some(()));
    }
    let height = wait_rest(&network, &[0, 1]);
    let last = block_at(&network, height);
    type Tamper = fn(&mut Block);
    let cases: [(&str, Tamper); 6] = [
        ("hash", |block| {
            let target = block.header.work.unwrap().target.target().unwrap();
            let tampered = |block: &mut Block| block.header.work.as_mut().unwrap().nonce.0[0] ^= 0x5a;
            tampered(block);
            while target.is_met_by(&block.header.hash()) {
                block.header.work.as_mut().unwrap().nonce.0[1] =
                    block.header.work.unwrap().nonce.0[1].wrapping_add(1);
            }
        }),
        // Another previous block: the hash no longer holds, so there is no work behind it.
        ("hash", |block| {
            block.header.parent = Hash([9; 32]);
            let target = block.header.work.unwrap().target.target().unwrap();
            while target.is_met_by(&block.header.hash()) {
                block.header.work.as_mut().unwrap().nonce.0[1] =
                    block.header.work.unwrap().nonce.0[1].wrapping_add(1);
            }
        }),
        ("target", |block| {
            block.header.work.as_mut().unwrap().target = CompactTarget(0x207f_ffff);
            seal(block);
        }),
        ("missing-work", |block| block.header.work = None),
        ("network", |block| {
            block.header.network = Hash([1; 32]);
            seal(block);
        }),
        ("timestamp", |block| {
            block.header.timestamp = 1;
            seal(block);
        }),
    ];
    network.block_on(async {
        let address = network.client(0).status().await.unwrap().listen[0].clone();
        for (rule, tamper) in cases {
            let metrics = || async { network.client(0).metrics().await.unwrap() };
            let count = |text: &str| crate::network::sample(text, REFUSED, &[("rule", rule)]);
            let before = count(&metrics().await);
            let genesis = conclave::genesis_file::read(&network.genesis()).unwrap();
            let mut attacker = Attacker::new(genesis.network_id());
            let node = attacker.dial(&address).await.unwrap();
            let (role, key) = (attacker.observer(), attacker.key.clone());
            attacker.enter(node, role, &key).await.unwrap();
            let mut block = last.clone();
            block.header.timestamp += 1;
            tamper(&mut block);
            attacker.send(node, Lane::Consensus, framed(&codec::encode(&CompactBlock::of(&block))));
            assert!(attacker.closed_within(node, Duration::from_secs(30)).await, "{rule}: it is let go");
            let text = metrics().await;
            assert!(count(&text) > before, "{rule} is not among the metrics:\n{text}");
        }
    });
    assert!(network.metric(0, PENALTIES, &[("severity", "fatal")]) >= 6.0);
    // Nobody has followed any of it, and the network goes on.
    let after = record(&network, "after the liars");
    submit(&network, 1, &after);
    eventually("it is mined", || (confirmations(&network, 0, &after.id()) > 0).then_some(()));
    wait_rest(&network, &[0, 1]);
    assert_eq!(block_at(&network, height), last);
}
