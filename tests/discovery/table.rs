//! A Kademlia table as the tracker that nobody runs.

use crate::{hub::Hub, node::Network};

const LISTEN: [&str; 2] = ["--listen", "/ip4/127.0.0.1/tcp/0"];

#[test]
fn nodes_that_know_one_peer_of_the_table_find_the_validators_and_need_it_no_more() {
    let network = Network::new(4);
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let at_hub = [&LISTEN[..], &["--kademlia", "--kademlia-peer", &hub.address]].concat();
    let validators: Vec<_> = (0..4).map(|number| network.validator(number, &at_hub)).collect();
    validators.iter().for_each(|validator| network.wait_peers(validator, 3));
    network.decide(&validators[0], "found each other");
    let observer = network.observer("early", &["--kademlia", "--kademlia-peer", &hub.address]);
    network.wait_peers(&observer, 4);
    network.wait_counter(&observer, "conclave_found_peers_total{kind=\"kademlia\"}");
    network.wait_known(&observer, "kademlia", 4);
    // The hub makes no handshake, is asked for none, and is not blamed for that.
    for node in validators.iter().chain([&observer]) {
        node.assert_not_logged("refused a peer");
        node.assert_not_logged("a peer is blamed");
    }

    drop(hub);
    network.decide(&validators[1], "without the hub");
    // The validators themselves are the table now.
    let address = validators[2].address("/tcp/");
    let late = network.observer("late", &["--kademlia", "--kademlia-peer", &address]);
    network.wait_peers(&late, 4);
}

#[test]
fn every_switch_that_needs_no_local_network_may_be_on() {
    let network = Network::new(2);
    let all = ["--kademlia", "--relay-server", "--relay-client", "--hole-punching", "--autonat"];
    let first = network.validator(0, &[&LISTEN[..], &all].concat());
    let address = first.address("/tcp/");
    let flags = [&LISTEN[..], &all, &["--peer", &address, "--kademlia-peer", &address]].concat();
    let second = network.validator(1, &flags);
    network.wait_peers(&second, 1);
    network.decide(&first, "undisturbed");
    network.decide(&second, "on both sides");
}
