//! What leaders put into their blocks.

use crate::world::World;
use conclave_ledger::transaction::SharedTransaction;
use conclave_protocol::node::BODY_TARGET_BYTES;
use std::time::Duration;

/// What waits is more than what a block should hold: it goes into several, oldest first, and nothing is left.
#[test]
fn what_waits_goes_into_blocks_of_a_bounded_size() {
    const RECORDS: usize = 80;
    let mut world = World::new(4, 1);
    world.link_all(&[0, 1, 2, 3]);
    world.run(Duration::from_secs(2));
    let long = "x".repeat(32_000);
    let records: Vec<SharedTransaction> =
        (0..RECORDS).map(|number| world.record(&format!("{number} {long}")).into()).collect();
    let all: usize = records.iter().map(SharedTransaction::size).sum();
    assert!(all > 2 * BODY_TARGET_BYTES);
    world.submit_all(0, records.clone());
    world.run(Duration::from_secs(30));
    let blocks = world.storage[0].heights.values().filter_map(|(decided, _)| decided.block());
    let bodies: Vec<usize> =
        blocks.clone().map(|block| block.transactions.iter().map(SharedTransaction::size).sum()).collect();
    assert!(bodies.iter().all(|bytes| *bytes <= BODY_TARGET_BYTES), "{bodies:?}");
    let decided: Vec<_> = blocks.flat_map(|block| &block.transactions).map(|it| it.id()).collect();
    assert_eq!(
        decided,
        records.iter().map(|it| it.id()).collect::<Vec<_>>(),
        "in the order of their submission"
    );
}
