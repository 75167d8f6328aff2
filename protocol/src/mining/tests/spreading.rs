//! Honest nodes: blocks spread compactly, branches are followed, newcomers catch up.

use super::lab::{Lab, record};
use conclave_ledger::proof_of_work::MAX_REORGANISATION;

#[test]
fn a_block_of_known_transactions_costs_ids() {
    let mut lab = Lab::new(4);
    lab.connect_all();
    lab.carried.clear();
    for number in 0..20 {
        lab.submit(&record(&number.to_string()), &[0, 1, 2, 3]);
    }
    lab.mine(0);
    lab.assert_agreement();
    assert_eq!(lab.heights(), [1; 4]);
    assert!(lab.hosts.iter().all(|host| host.pool.is_empty()));
    assert_eq!(lab.carried.keys().copied().collect::<Vec<_>>(), ["announce"]);
    assert!(lab.carried["announce"] <= 9, "nobody is told by whom it was told: {:?}", lab.carried);
}

#[test]
fn what_is_missing_is_asked_for() {
    let mut lab = Lab::new(2);
    lab.connect_all();
    lab.submit(&record("known"), &[0, 1]);
    lab.submit(&record("unknown"), &[0]);
    lab.carried.clear();
    lab.mine(0);
    lab.assert_agreement();
    assert_eq!((lab.carried["transactions"], lab.carried.get("blocks")), (1, None));
}

#[test]
fn two_halves_find_together_and_nothing_is_lost() {
    let mut lab = Lab::new(4);
    lab.connect_all();
    lab.mine(0);
    for one in [0, 1] {
        for other in [2, 3] {
            lab.cut(one, other);
        }
    }
    for number in 0..5 {
        lab.submit(&record(&format!("left {number}")), &[0, 1]);
        lab.mine(number % 2);
    }
    for number in 0..3 {
        lab.submit(&record(&format!("right {number}")), &[2, 3]);
        lab.mine(2 + number % 2);
    }
    assert_eq!(lab.heights(), [6, 6, 4, 4]);
    lab.connect(1, 2);
    lab.assert_agreement();
    assert_eq!(lab.heights(), [6; 4], "the one link is enough");
    let standing = lab.hosts[3].mining.standing();
    assert_eq!((standing.reorganisations, standing.deepest), (1, 3));
    let waiting: Vec<_> = lab.hosts[2].pool.iter().map(|waits| waits.id()).collect();
    let undone: Vec<_> = (0..3).map(|number| record(&format!("right {number}")).id()).collect();
    assert_eq!(waiting, undone, "in the order in which they were mined");
    lab.mine(3);
    lab.assert_agreement();
    assert!(lab.hosts[2].pool.is_empty(), "mined again");
}

#[test]
fn equal_branches_stay_until_one_is_heavier() {
    let mut lab = Lab::new(2);
    let (left, right) = (lab.mine(0), lab.mine(1));
    lab.connect_all();
    assert_eq!(lab.hosts[0].chain.tip().hash, left.hash());
    assert_eq!(lab.hosts[1].chain.tip().hash, right.hash());
    lab.mine(1);
    lab.assert_agreement();
    assert_eq!(lab.hosts[0].mining.standing().forks, 1);
    assert_eq!(lab.hosts[0].mining.standing().undone, 1);
}

/// The chain is longer than the tree, so old headers and blocks come from storage.
#[test]
fn a_newcomer_catches_up_from_several_peers() {
    let mut lab = Lab::new(3);
    lab.connect(0, 1);
    let length = MAX_REORGANISATION as u64 + 20;
    for number in 0..length {
        lab.mine(number as usize % 2);
    }
    lab.carried.clear();
    for other in 0..2 {
        lab.connect(2, other);
    }
    lab.assert_agreement();
    assert_eq!(lab.heights(), [length; 3]);
    assert!(lab.carried["blocks"] >= length as usize / 16, "{:?}", lab.carried);
}

#[test]
fn what_was_missed_is_asked_for_in_time() {
    let mut lab = Lab::new(2);
    lab.connect_all();
    lab.cut(0, 1);
    lab.mine(0);
    // The link is back and nobody has said so to the machine that mined: nothing is announced.
    lab.connect(1, 0);
    assert_eq!(lab.heights(), [1, 1]);
    lab.cut(0, 1);
    lab.mine(1);
    lab.connect(0, 1);
    lab.assert_agreement();
    lab.wait(20_000);
    lab.assert_agreement();
}
