//! Headers without end on which little work was done: the bound ends it, and honest records are mined meanwhile.

use super::{
    branch::{Branch, has_block},
    check_undisturbed, offer,
    offer::Offer,
    record, running_alone, wait_rest,
};
use crate::network::eventually;
use conclave_ledger::{codec, transaction::Transaction};
use conclave_protocol::mining::{LOW_WORK, MAX_HEADERS_ANSWERED, Request, Response};
use std::sync::Arc;

const REFUSED: &str = "conclave_refused_blocks_total";

/// The headers of another branch from the start each time; as many as fit into an answer.
fn low_work(empty: &Branch, record: &Transaction) -> Vec<u8> {
    let mut branch = empty.fork(0);
    for _ in 0..MAX_HEADERS_ANSWERED {
        branch.forge(|block| block.transactions = vec![record.clone().into()]);
    }
    let headers = branch.blocks.iter().map(|block| block.header.clone()).collect();
    codec::encode(&Response::Headers(headers))
}

#[test]
fn a_flood_of_headers_that_lead_nowhere_is_ended() {
    let network = running_alone();
    let empty = Branch::start(&network);
    let mut public = empty.fork(0);
    public.mine_many(MAX_HEADERS_ANSWERED as u64 + 100);
    let public = Arc::new(public);
    let historian = Offer::make(&network, 0, None, offer::serves(&public));
    eventually("the node is on the public chain", || has_block(&network, 0, public.tip()).then_some(()));

    let answers = LOW_WORK.capacity as usize / MAX_HEADERS_ANSWERED + 2;
    let record = record(&network, "of the flood");
    let flood: Vec<Vec<u8>> = (0..answers).map(|_| low_work(&empty, &record)).collect();
    let mut flood = flood.into_iter();
    let answer = move |request: &Request| match request {
        Request::Headers(_) => flood.next(),
        _ => None,
    };
    let attacker = Offer::make(&network, 0, None, Box::new(answer));
    check_undisturbed(&network, 1, "during the flood");
    eventually("it is let go", || attacker.is_let_go().then_some(()));
    network.wait_metric(0, REFUSED, &[("rule", "low-work")], 1.0);
    assert!(attacker.asked_headers() < answers, "not all of it was asked for: {}", attacker.asked_headers());
    let blamed = network.metric(0, "conclave_penalties_total", &[]);
    assert_eq!(blamed, 1.0, "one line of the log for one answer");
    assert!(!offer::is_let_in(&network, 0, &attacker.key), "it is kept out");
    assert!(!historian.is_let_go());
    check_undisturbed(&network, 1, "after the flood");
    wait_rest(&network, &[0]);
    assert!(has_block(&network, 0, public.tip()));
}
