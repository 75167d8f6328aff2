//! A newcomer all of whose peers but one lie: it ends on the chain of the one that does not.

use super::{
    branch::{Branch, has_block, unseal},
    check_undisturbed, confirmations, mined_records, miners,
    offer::{self, Answer, Offer},
    record, wait_rest,
};
use crate::{
    network::{Network, eventually},
    peer::peer_of,
};
use conclave_ledger::{codec, hash::Hash, keys::SecretKey};
use conclave_protocol::mining::{Request, Response};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::sync::{Arc, atomic::AtomicBool};

const HONEST: usize = 0;
const NEWCOMER: usize = 1;

/// Who keeps silent.
const SILENT: usize = 3;

/// The key of an attacker that the newcomer asks before it asks the honest node: it takes peers by their identifiers.
fn key_before(network: &Network, honest: PeerId) -> SecretKey {
    let is_before = |key: &SecretKey| {
        let id = conclave::keys::node_identity(key).public().to_peer_id();
        peer_of(id) < peer_of(honest)
    };
    std::iter::repeat_with(|| offer::next_key(network)).find(is_before).unwrap()
}

fn id_of(network: &Network, node: usize) -> PeerId {
    let address: Multiaddr = network.addresses(node)[0].parse().unwrap();
    let last = address.iter().last();
    let Some(Protocol::P2p(id)) = last else { panic!("{address} ends in no peer id") };
    id
}

/// Headers without work, as many as the branch has.
fn worthless(branch: &Branch) -> Answer {
    let mut block = branch.blocks[0].as_ref().clone();
    unseal(&mut block);
    let headers = codec::encode(&Response::Headers(vec![block.header]));
    Box::new(move |request| matches!(request, Request::Headers(_)).then(|| headers.clone()))
}

#[test]
fn one_honest_peer_among_liars_is_enough() {
    let mut network = miners(2);
    network.run(HONEST);
    let records = mined_records(&network, 1, 12);
    let height = wait_rest(&network, &[HONEST]);
    let (public, honest) = (Branch::of(&network, HONEST, height), id_of(&network, HONEST));
    let mut lighter = public.fork(0);
    lighter.mine(&[record(&network, "on a lighter branch")]);
    lighter.mine_many(2);
    let mut hidden = public.fork(1);
    hidden.outweigh(public.work());
    hidden.mine_many(80);
    let mut tampered = public.fork(2);
    tampered.forge(|block| block.header.state = Hash([5; 32]));
    tampered.forge_until_heavier(public.work());
    let [lighter, hidden, tampered] = [lighter, hidden, tampered].map(Arc::new);

    // The liars are there first.
    network.kill(HONEST);
    network.run(NEWCOMER);
    let offer = |answer: Answer| Offer::by(key_before(&network, honest), &network, NEWCOMER, None, answer);
    let harmless = [
        offer(offer::empty()),
        offer(offer::serves(&lighter)),
        offer(offer::hides(&hidden, &Arc::new(AtomicBool::new(false)))),
    ];
    let silent: Vec<Offer> = (0..SILENT).map(|_| offer(offer::silent())).collect();
    let liars = [
        offer(offer::serves(&tampered)),
        offer(worthless(&public)),
        offer(Box::new(|_| Some(b"no answer at all".to_vec()))),
    ];
    eventually("the liars are let go", || liars.iter().all(Offer::is_let_go).then_some(()));
    eventually("the newcomer believes who offers most", || {
        has_block(&network, NEWCOMER, lighter.tip()).then_some(())
    });
    assert!(silent.iter().chain(&harmless).all(|attacker| attacker.asked_headers() > 0));

    network.run(HONEST);
    eventually("the newcomer is on the heaviest chain that somebody gives", || {
        has_block(&network, NEWCOMER, public.tip()).then_some(())
    });
    check_undisturbed(&network, 2, "out of the eclipse");
    wait_rest(&network, &[HONEST, NEWCOMER]);
    for record in &records {
        assert!(confirmations(&network, NEWCOMER, &record.id()) > 0);
    }
    let fatal = network.metric(NEWCOMER, "conclave_penalties_total", &[("severity", "fatal")]);
    assert!(fatal >= liars.len() as f64, "{fatal}");
}
