//! A node that offers tampered blocks: none is adopted, it is kept out, and the metrics say which rule was broken.

use super::{
    branch::{block_at, seal, unseal},
    confirmations, mined_records, record, running, submit, wait_rest,
};
use crate::{
    network::eventually,
    peer::{Attacker, Lane, framed},
};
use conclave_ledger::{block::Block, codec, hash::Hash, proof_of_work::CompactTarget};
use conclave_protocol::mining::CompactBlock;
use std::time::Duration;

const REFUSED: &str = "conclave_refused_blocks_total";
const PENALTIES: &str = "conclave_penalties_total";

#[test]
fn tampered_blocks_are_refused_by_rule_and_their_sender_is_kept_out() {
    let network = running(2);
    mined_records(&network, 2, 3);
    let height = wait_rest(&network, &[0, 1]);
    let last = block_at(&network, 0, height);
    type Tamper = fn(&mut Block);
    let cases: [(&str, Tamper); 6] = [
        ("hash", unseal),
        // Another previous block: the hash no longer holds, so there is no work behind it.
        ("hash", |block| {
            block.header.parent = Hash([9; 32]);
            unseal(block);
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
    assert_eq!(block_at(&network, 0, height), last);
}
