//! Nodes that restart, and networks whose nodes know different things: what they go back to, and what they end with.

use crate::world::{DELTA_MS, World};
use conclave_ledger::{applications::Payload, block::Decided, proof::Proof};
use conclave_protocol::{node::Notice, penalty::Severity};
use std::time::Duration;

fn windows(count: u64) -> Duration {
    Duration::from_millis(2 * DELTA_MS * count)
}

/// Five validators of which two may be faulty: four votes are a certificate, and a node that hears nobody ends a height
/// without one. Node 4 decides to skip, and another time, while the others decide a block by certificate; then its links
/// are found to be dead.
fn forked() -> World {
    let mut world = World::new(5, 2);
    world.link_all(&[0, 1, 2, 3, 4]);
    world.run(windows(1));
    world.unhear(4);
    world.submit(4, "said alone");
    world.submit(0, "said among four");
    world.run(windows(12));
    world.cut_unheard();
    world.run(windows(1));
    assert_eq!(world.tips()[4], 2, "{:?}", world.tips());
    assert_eq!(world.nodes[4].chain().undoable().count(), 2);
    assert!(
        world.storage[4].heights.values().all(|(decided, _)| matches!(decided.as_ref(), Decided::Skip(_)))
    );
    assert!(world.tips()[..4].iter().all(|tip| *tip == 1), "{:?}", world.tips());
    assert_ne!(world.storage[4].heights[&1].0, world.storage[0].heights[&1].0);
    world
}

/// Everybody has the block of the four, and then what node 4 said, unless a restart has emptied its pool.
fn assert_joined(world: &World, transactions: usize, case: &str) {
    let first = &world.storage[0];
    for node in 0..5 {
        let own = &world.storage[node];
        assert_eq!(world.tips()[node], world.tips()[0], "{case}: node {node} of {:?}", world.tips());
        assert!(
            own.heights.iter().all(|(height, (decided, _))| *decided == first.heights[height].0),
            "{case}"
        );
        assert_eq!(own.double_votes(), [0; 0], "{case}: node {node}");
    }
    // Beside what was said there may be the return of a leader that was skipped.
    let blocks = first.heights.values().filter_map(|(decided, _)| decided.block());
    let said = blocks.flat_map(|block| &block.transactions);
    let said = said.filter(|transaction| matches!(transaction.request.payload, Payload::Record(_)));
    assert_eq!(said.count(), transactions, "{case}");
    // Slight it is, to claim a height whose proof one lacks.
    let blamed = |notice: &Notice| match notice {
        Notice::PeerPenalized { severity, .. } => *severity != Severity::Slight,
        notice => matches!(notice, Notice::Failed(_)),
    };
    let blame: Vec<_> = world.notices.iter().filter(|(_, notice)| blamed(notice)).collect();
    assert!(blame.is_empty(), "{case}: honest nodes are not blamed: {blame:?}");
}

#[test]
fn a_node_that_went_on_without_a_certificate_goes_back_after_a_restart_as_before_it() {
    for (case, restarted) in [
        ("nobody is restarted", vec![]),
        ("the node is restarted", vec![4]),
        ("all the others are", vec![0, 1, 2, 3]),
        ("everybody is", vec![0, 1, 2, 3, 4]),
        ("the node is restarted twice", vec![4, 4]),
    ] {
        let mut world = forked();
        restarted.iter().for_each(|node| world.restart(*node));
        assert_eq!(world.nodes[4].chain().undoable().count(), 2, "{case}");
        if restarted.contains(&0) {
            world.link_all(&[0, 1, 2, 3]);
        }
        (0..4).for_each(|other| world.link(4, other));
        world.run(windows(40));
        assert_joined(&world, if restarted.contains(&4) { 1 } else { 2 }, case);
    }
}

/// The others have gone on by many heights, so the node learns of them by sync alone.
#[test]
fn a_node_that_is_far_behind_on_its_own_branch_goes_back_too() {
    for restarts in [false, true] {
        let mut world = forked();
        for number in 0..5 {
            world.submit(number % 4, &format!("more {number}"));
            world.run(windows(6));
        }
        assert!(world.tips()[0] > 4, "{:?}", world.tips());
        if restarts {
            (0..5).for_each(|node| world.restart(node));
            world.link_all(&[0, 1, 2, 3]);
        }
        (0..4).for_each(|other| world.link(4, other));
        world.run(windows(40));
        let height = world.tips()[0];
        assert_eq!(world.tips()[4], height);
        assert_eq!(world.storage[4].heights[&height].0, world.storage[0].heights[&height].0);
        assert_eq!(world.storage[4].double_votes(), [0; 0]);
    }
}

/// Each node knows the votes that reached it. They exchange them, everybody ends with the same proofs, the observer
/// among them, and then they are silent.
#[test]
fn proofs_of_the_tip_become_the_same_everywhere_and_then_nobody_speaks() {
    let mut world = World::new(4, 1);
    // A star around node 0: the others hear each other's votes from nobody but by what node 0 passes on.
    (1..4).for_each(|other| world.link(0, other));
    world.run(windows(1));
    world.submit(0, "one");
    world.run(windows(8));
    let tips = world.tips();
    assert!(tips[..4].iter().all(|tip| *tip == tips[0] && *tip > 0), "{tips:?}");
    // Everybody is linked, and one is restarted: it has forgotten what it heard.
    world.restart(2);
    world.link_all(&[0, 2]);
    [(1, 2), (1, 3), (2, 3)].into_iter().for_each(|(one, other)| world.link(one, other));
    world.link(4, 1);
    world.run(windows(3));
    let proofs = world.last_proofs(0);
    assert!(!proofs.is_empty() && proofs.iter().all(Proof::is_certificate));
    for node in 1..=4 {
        assert_eq!(world.last_proofs(node), proofs, "node {node}");
    }
    let frames = world.frames;
    world.run(Duration::from_secs(600));
    assert_eq!(world.frames, frames, "an idle network sends no consensus message");
}
