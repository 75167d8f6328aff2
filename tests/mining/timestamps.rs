//! Timestamps at the edges of what the rules and the clock allow.

use super::{
    branch::{Branch, has_block, unseal},
    check_undisturbed, mined_records,
    offer::{self, Offer, now_ms},
    record, running, wait_rest,
};
use crate::network::{Network, eventually};
use std::sync::Arc;

const REFUSED: &str = "conclave_refused_blocks_total";
const PENALTIES: &str = "conclave_penalties_total";

/// The public chain and one block more, at the time that `timestamp` gives.
fn one_more(network: &Network, text: &str, timestamp: impl FnOnce(&Branch) -> u64) -> Arc<Branch> {
    let height = wait_rest(network, &[0, 1]);
    let mut branch = Branch::of(network, 0, height);
    let timestamp = timestamp(&branch);
    branch.mine_at(timestamp, &[record(network, text)]);
    Arc::new(branch)
}

fn announce(network: &Network, branch: &Arc<Branch>) -> Offer {
    Offer::make(network, 0, Some(branch.tip()), offer::serves(branch))
}

fn wait_adopted(network: &Network, branch: &Branch) {
    eventually("both are on it", || (0..2).all(|node| has_block(network, node, branch.tip())).then_some(()));
}

#[test]
fn a_millisecond_later_is_enough_and_the_same_time_is_not() {
    let network = running(2);
    mined_records(&network, 2, 3);
    let next = one_more(&network, "a millisecond later", |_| 0);
    let parent = &next.blocks[next.blocks.len() - 2];
    assert_eq!(next.tip().header.timestamp, parent.header.timestamp + 1);
    let honest = announce(&network, &next);
    wait_adopted(&network, &next);
    assert!(!honest.is_let_go());

    let height = wait_rest(&network, &[0, 1]);
    let mut same = Branch::of(&network, 0, height);
    same.forge(|block| {
        block.header.timestamp -= 1;
        block.transactions = vec![record(&network, "at the same time").into()];
    });
    assert_eq!(same.tip().header.timestamp, same.blocks[height as usize - 1].header.timestamp);
    let liar = announce(&network, &Arc::new(same));
    eventually("it is let go", || liar.is_let_go().then_some(()));
    network.wait_metric(0, REFUSED, &[("rule", "timestamp")], 1.0);
    assert_eq!(network.height(0), Some(height));
    check_undisturbed(&network, 2, "after the liar");
}

#[test]
fn what_is_too_early_is_nobodys_fault_and_taken_in_its_time() {
    let network = running(2);
    mined_records(&network, 2, 2);
    let early = one_more(&network, "from the future", |branch| now_ms() + branch.future_ms() + 5_000);
    let ahead = announce(&network, &early);
    network.wait_metric(0, REFUSED, &[("rule", "future")], 1.0);
    assert!(!has_block(&network, 0, early.tip()));
    // When it is time the node asks for it by itself.
    wait_adopted(&network, &early);
    assert!(now_ms() + early.future_ms() >= early.tip().header.timestamp);
    assert!(!ahead.is_let_go());
    assert_eq!(network.metric(0, PENALTIES, &[]), 0.0);
    check_undisturbed(&network, 2, "after the future");
}

#[test]
fn a_false_timestamp_without_work_is_somebodys_fault() {
    let network = running(1);
    mined_records(&network, 1, 1);
    let height = wait_rest(&network, &[0]);
    let mut branch = Branch::of(&network, 0, height);
    let far = now_ms() + 1_000 * branch.future_ms();
    branch.mine_at(far, &[record(&network, "from the far future")]);
    let mut block = branch.tip().clone();
    unseal(&mut block);
    let liar = Offer::make(&network, 0, Some(&block), offer::empty());
    eventually("it is let go", || liar.is_let_go().then_some(()));
    network.wait_metric(0, REFUSED, &[("rule", "hash")], 1.0);
}

/// Honest blocks on it need timestamps that are later still.
#[test]
fn miners_go_on_upon_the_latest_timestamp_that_is_allowed() {
    let network = running(2);
    mined_records(&network, 2, 2);
    let latest = one_more(&network, "as late as is allowed", |branch| now_ms() + branch.future_ms());
    let attacker = announce(&network, &latest);
    wait_adopted(&network, &latest);
    let refused = network.metric(0, REFUSED, &[("rule", "future")]);
    for number in 0..5 {
        check_undisturbed(&network, 2, &format!("record {number} upon it"));
    }
    wait_rest(&network, &[0, 1]);
    for node in [0, 1] {
        assert!(has_block(&network, node, latest.tip()));
        assert_eq!(network.metric(node, PENALTIES, &[]), 0.0);
    }
    assert_eq!(network.metric(0, REFUSED, &[("rule", "future")]), refused);
    assert!(!attacker.is_let_go());
}
