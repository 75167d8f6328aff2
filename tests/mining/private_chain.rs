//! Private chains that are released late. The heaviest chain is the chain, whoever mined it: but nobody's transaction is
//! lost, and nobody is taken back further than nodes go.

use super::{
    branch::{Branch, has_block},
    check_undisturbed, confirmations, mined_records, offer,
    offer::Offer,
    record, running, running_alone, wait_rest, work,
};
use crate::network::{eventually, program, succeed};
use conclave_ledger::proof_of_work::MAX_REORGANISATION;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[test]
fn a_heavier_private_chain_is_followed_and_no_transaction_is_lost() {
    const FORK: u64 = 2;
    let all = [0, 1, 2];
    let network = running(3);
    let records = mined_records(&network, 3, 8);
    let height = wait_rest(&network, &all);
    let public = Branch::of(&network, 0, height);
    let mut private = public.fork(FORK);
    private.mine(&[record(&network, "mined in private")]);
    private.outweigh(public.work());
    let private = Arc::new(private);
    let attacker = Offer::make(&network, 0, Some(private.tip()), offer::serves(&private));
    eventually("everybody is on the private chain", || {
        all.iter().all(|node| has_block(&network, *node, private.tip())).then_some(())
    });
    eventually("every record is mined again", || {
        let is_mined =
            |node: usize| records.iter().all(|record| confirmations(&network, node, &record.id()) > 0);
        all.iter().all(|node| is_mined(*node)).then_some(())
    });
    wait_rest(&network, &all);
    for node in all {
        let status = work(&network, node);
        assert!(status.deepest >= height - FORK, "{status:?}");
        assert!(network.metric(node, "conclave_undone_blocks_total", &[]) >= (height - FORK) as f64);
        assert!(has_block(&network, node, private.tip()));
        network.export(node);
        succeed(
            program()
                .args(["verify", "--genesis"])
                .arg(network.genesis())
                .arg(network.home.join(format!("export-{node}"))),
        );
    }
    assert!(!attacker.is_let_go(), "it has broken no rule");
    check_undisturbed(&network, 3, "after the private chain");
}

#[test]
fn a_lighter_private_chain_is_not_followed() {
    let network = running(2);
    mined_records(&network, 2, 4);
    let height = wait_rest(&network, &[0, 1]);
    let public = Branch::of(&network, 0, height);
    let mut private = public.fork(1);
    private.mine(&[record(&network, "mined in private")]);
    private.mine_many(height - private.height() - 1);
    assert!(private.work() < public.work() && private.height() + 1 == height);
    let shown = private.height() - 1;
    let private = Arc::new(private);
    let before = work(&network, 0);
    let is_asked = Arc::new(AtomicBool::new(false));
    let answer = offer::serves_and_notes(&private, &is_asked);
    let attacker = Offer::make(&network, 0, Some(private.tip()), answer);
    eventually("the node knows the branch", || {
        (work(&network, 0).forks >= before.forks + shown).then_some(())
    });
    // Nobody mines until something is submitted: what happens before that is the attacker's doing, and not the two miners' race.
    let after = work(&network, 0);
    assert_eq!((after.reorganisations, after.undone), (before.reorganisations, before.undone));
    check_undisturbed(&network, 2, "after the lighter chain");
    for node in [0, 1] {
        assert!(has_block(&network, node, public.tip()));
    }
    assert!(!is_asked.load(Ordering::Relaxed), "its blocks could not win");
    assert!(!attacker.is_let_go(), "forks are nobody's fault");
}

#[test]
fn a_private_chain_is_followed_within_the_bound_and_not_beyond() {
    let bound = MAX_REORGANISATION as u64;
    let network = running_alone();
    let mut public = Branch::start(&network);
    public.mine_many(bound + 60);
    let height = public.height();
    let public = Arc::new(public);
    let historian = Offer::make(&network, 0, None, offer::serves(&public));
    eventually("the node is on the public chain", || has_block(&network, 0, public.tip()).then_some(()));

    let mut deep = public.fork(height - bound - 1);
    deep.outweigh(public.work());
    let deep = Arc::new(deep);
    let attacker = Offer::make(&network, 0, Some(deep.tip()), offer::serves(&deep));
    eventually("the node says so", || {
        network.log(0).contains("further back than this node goes by itself").then_some(())
    });
    assert_eq!(attacker.asked_blocks(), 0);
    network.wait_metric(0, "conclave_diverged_peers_total", &[], 1.0);
    check_undisturbed(&network, 1, "after the deep chain");
    assert!(has_block(&network, 0, public.tip()));

    // The chain has grown a little, and the bound with it.
    let height = wait_rest(&network, &[0]);
    let fork = height - bound + 10;
    let mut within = public.fork(fork);
    within.outweigh(Branch::of(&network, 0, height).work());
    // The node mines on to break the tie while it learns of it.
    within.mine_many(20);
    let within = Arc::new(within);
    let follower = Offer::make(&network, 0, Some(within.tip()), offer::serves(&within));
    eventually("the node is on the other chain", || has_block(&network, 0, within.tip()).then_some(()));
    assert!(work(&network, 0).deepest >= height - fork);
    check_undisturbed(&network, 1, "after the chain within the bound");
    assert!(!follower.is_let_go() && !historian.is_let_go());
}
