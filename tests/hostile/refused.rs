//! An observer that did its work and then sends transactions without end that are refused: it is borne for as long as
//! honest peers might need, then blamed and thrown out, and records are decided meanwhile.

use super::{
    PENALTIES, REFUSALS, check_undisturbed,
    crowds::{decide_meanwhile, say},
    network_id,
    peer::{Attacker, Lane, framed, unstamped},
};
use crate::network::Network;
use conclave_ledger::codec;
use conclave_protocol::{
    dissemination::{MAX_ITEMS, MAX_WANTED_OF_PEER, Message},
    handshake::RefusalReason,
};
use std::time::Duration;

const TRANSACTIONS: &str = "conclave_peer_transactions_total";

/// Work of a fraction of a second in a program that is not optimised.
const BITS: u8 = 8;

/// Messages after which the attacker gives up: many times what costs it its place.
const MOST_MESSAGES: usize = 500;

#[test]
fn whoever_sends_unstamped_transactions_without_end_loses_its_place() {
    let mut network = Network::start_some(4, 0, 200);
    (0..3).for_each(|node| network.run_with(node, &["--admission-bits", "8"]));
    (0..3).for_each(|node| network.wait_connected(node, 2));
    let (id, address) = (network_id(&network), network.addresses(0)[0].clone());
    let before = decide_meanwhile(&network, "before", || false);
    let attack = network.spawn(async move {
        let mut attacker = Attacker::new(id);
        let node = attacker.dial(&address).await.unwrap();
        attacker.be_admitted(node, BITS).await.unwrap();
        for number in 0..MOST_MESSAGES {
            let batch = Message::Transactions(unstamped(id, 500, number, MAX_ITEMS));
            attacker.send(node, Lane::Transactions, framed(&codec::encode(&batch)));
            if attacker.closed_within(node, Duration::from_millis(2)).await {
                // And comes again.
                let (role, key) = (attacker.observer(), attacker.key.clone());
                let came_in = match attacker.dial(&address).await {
                    Ok(node) => attacker.try_enter(node, role, &key).await == Ok(Ok(())),
                    Err(_) => false,
                };
                return (number, came_in);
            }
        }
        panic!("it is still there after {MOST_MESSAGES} messages");
    });
    let during = decide_meanwhile(&network, "during", || !attack.is_finished());
    let (messages, came_in) = network.block_on(attack).unwrap();
    say("a record", &format!("{messages} messages of {MAX_ITEMS} unstamped transactions"), &before, &during);
    assert!(!came_in, "it is kept out");
    network.wait_metric(0, REFUSALS, &[("reason", RefusalReason::KeptOut.code()), ("by", "us")], 1.0);
    assert!(
        messages > MAX_WANTED_OF_PEER / MAX_ITEMS,
        "{messages} messages: what an honest peer may hold is borne"
    );
    let refused = network.metric(0, TRANSACTIONS, &[("outcome", "refused")]);
    assert!(refused > MAX_WANTED_OF_PEER as f64, "{refused} were refused");
    assert!(network.metric(0, PENALTIES, &[("severity", "serious")]) >= 5.0);
    assert_eq!(network.metric(0, TRANSACTIONS, &[("outcome", "false")]), 0.0);
    for node in 1..3 {
        assert_eq!(network.metric(node, PENALTIES, &[]), 0.0, "node {node} has heard nothing of it");
    }
    check_undisturbed(&network, "refused transactions have come without end");
}
