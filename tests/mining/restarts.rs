//! Nodes that are killed at any moment: afterwards they are on the same tip, or behind it, and go on.

use super::{confirmations, record, running, submit, wait_rest};
use crate::network::eventually;

#[test]
fn a_killed_node_is_back_on_the_chain() {
    let mut network = running(3);
    let records: Vec<_> = (0..12).map(|number| record(&network, &format!("record {number}"))).collect();
    for (number, record) in records.iter().enumerate() {
        submit(&network, number % 2, record);
        if number % 4 == 3 {
            // In the middle of it.
            network.kill(2);
            network.run(2);
        }
    }
    network.wait_connected(2, 2);
    wait_rest(&network, &[0, 1, 2]);
    for record in &records {
        assert!((0..3).all(|node| confirmations(&network, node, &record.id()) > 0));
    }
    let before = network.block_on(network.client(2).status()).unwrap();
    network.kill(2);
    network.run(2);
    let after = eventually("it is up again", || network.block_on(network.client(2).status()).ok());
    assert_eq!((after.height, after.hash, after.state), (before.height, before.hash, before.state));
    // All at once, so that nobody can be asked.
    (0..3).for_each(|node| network.kill(node));
    (0..3).for_each(|node| network.run(node));
    let last = record(&network, "after all of that");
    (0..3).for_each(|node| network.wait_connected(node, 2));
    submit(&network, 2, &last);
    wait_rest(&network, &[0, 1, 2]);
    assert!((0..3).all(|node| confirmations(&network, node, &last.id()) > 0));
}
