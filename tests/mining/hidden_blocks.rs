//! A heavier branch whose headers are shown and whose blocks are hidden: nobody waits for it, and it is followed when its
//! blocks come after all.

use super::{
    branch::{Branch, has_block},
    check_undisturbed, confirmations, mined_records, offer,
    offer::Offer,
    record, running, wait_rest,
};
use crate::network::eventually;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[test]
fn hidden_blocks_stop_no_miner_and_are_followed_when_they_come() {
    let network = running(2);
    let records = mined_records(&network, 2, 3);
    let height = wait_rest(&network, &[0, 1]);
    // More blocks than are wanted at a time, so that they would keep all others from being fetched.
    let mut private = Branch::of(&network, 0, height);
    private.mine(&[record(&network, "mined in private")]);
    private.mine_many(80);
    let (private, gives) = (Arc::new(private), Arc::new(AtomicBool::new(false)));
    let attackers =
        [0, 1].map(|node| Offer::make(&network, node, Some(private.tip()), offer::hides(&private, &gives)));
    eventually("both want the blocks", || {
        attackers.iter().all(|attacker| attacker.asked_blocks() > 0).then_some(())
    });
    check_undisturbed(&network, 2, "while blocks are hidden");
    assert!(!has_block(&network, 0, private.after(height)));

    gives.store(true, Ordering::Relaxed);
    eventually("both are on the private chain", || {
        (0..2).all(|node| has_block(&network, node, private.tip())).then_some(())
    });
    check_undisturbed(&network, 2, "after they have come");
    assert!(records.iter().all(|record| confirmations(&network, 1, &record.id()) > 0));
    assert!(attackers.iter().all(|attacker| !attacker.is_let_go()), "slowness is no lie");
}
