//! A whole branch with more work, one block of which breaks a rule of the ledger: none of it is adopted, whoever gives it is
//! kept out, and it is not tried again.

use super::{
    branch::{Branch, has_block},
    check_undisturbed, mined_records,
    offer::{self, Offer},
    record, running, wait_rest,
};
use crate::network::{Network, eventually};
use conclave_ledger::{block::Block, hash::Hash, keys::Signature, transaction::Transaction};
use std::sync::Arc;

const REFUSED: &str = "conclave_refused_blocks_total";

/// A branch that parts from the public one after `fork`, with a bad block in its middle and more work.
fn tampered(public: &Branch, fork: u64, valid: &Transaction, tamper: impl FnOnce(&mut Block)) -> Arc<Branch> {
    let mut branch = public.fork(fork);
    branch.mine(std::slice::from_ref(valid));
    branch.forge(tamper);
    branch.forge_until_heavier(public.work());
    Arc::new(branch)
}

/// Offers a branch to the first node until it ends the connection, and waits until the rule is counted.
fn offer_until_let_go(network: &Network, branch: &Arc<Branch>, rule: &str) -> Offer {
    let counted = network.metric(0, REFUSED, &[("rule", rule)]);
    let attacker = Offer::make(network, 0, Some(branch.tip()), offer::serves(branch));
    eventually(&format!("who breaks the rule {rule} is let go"), || attacker.is_let_go().then_some(()));
    network.wait_metric(0, REFUSED, &[("rule", rule)], counted + 1.0);
    attacker
}

#[test]
fn a_branch_with_a_bad_block_is_not_adopted_nor_tried_again() {
    let network = running(2);
    let records = mined_records(&network, 2, 6);
    let height = wait_rest(&network, &[0, 1]);
    let public = Branch::of(&network, 0, height);
    let fork = height - 4;
    let decided = public.blocks.iter().find(|block| !block.transactions.is_empty()).unwrap();
    assert!(decided.header.height <= fork);
    let again = decided.transactions[0].clone();
    let valid = record(&network, "valid, on a branch that is not");
    let mut unsigned = record(&network, "signed by nobody");
    unsigned.signature = Signature([7; 64]);
    let other = record(&network, "twice in one block");
    type Tamper<'t> = Box<dyn FnOnce(&mut Block) + 't>;
    let cases: [(&str, Tamper<'_>); 4] = [
        ("transaction", Box::new(|block| block.transactions = vec![unsigned.clone().into()])),
        ("state", Box::new(|block| block.header.state = Hash([5; 32]))),
        ("transaction", Box::new(|block| block.transactions = vec![again.clone()])),
        ("transaction", Box::new(|block| block.transactions = vec![other.clone().into(); 2])),
    ];
    for (rule, tamper) in cases {
        let branch = tampered(&public, fork, &valid, tamper);
        let attacker = offer_until_let_go(&network, &branch, rule);
        assert!(attacker.asked_blocks() > 0, "it was tried");
        assert!(!offer::is_let_in(&network, 0, &attacker.key), "it is kept out");
        // Somebody else offers the same: that it is bad is known by its headers.
        let tried = network.metric(0, REFUSED, &[("rule", rule)]);
        let second = offer_until_let_go(&network, &branch, "invalid-branch");
        assert_eq!(second.asked_blocks(), 0);
        assert_eq!(network.metric(0, REFUSED, &[("rule", rule)]), tried);
        assert!((0..2).all(|node| has_block(&network, node, public.tip())), "{rule}");
        assert!(!has_block(&network, 0, branch.after(fork)));
    }
    let fatal = network.metric(0, "conclave_penalties_total", &[("severity", "fatal")]);
    assert!(fatal >= 8.0, "{fatal}");
    check_undisturbed(&network, 2, "after the tampered chains");
    assert!(records.iter().all(|record| super::confirmations(&network, 1, &record.id()) > 0));
}
