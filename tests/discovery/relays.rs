//! Nodes that are reached over a relay, and what comes of it where they could be reached directly.

use crate::node::Network;

const LISTEN: [&str; 2] = ["--listen", "/ip4/127.0.0.1/tcp/0"];

#[test]
fn a_validator_that_listens_nowhere_is_reached_over_a_relay_and_decides() {
    let network = Network::new(3);
    let relay = network.validator(0, &[&LISTEN[..], &["--relay-server"]].concat());
    let at_relay = relay.address("/tcp/");
    let hidden = network.validator(1, &["--relay", &at_relay, "--peer", &at_relay]);
    hidden.wait_logged("a relay has given this node a place");
    let circuit = format!("{at_relay}/p2p-circuit/p2p/{}", hidden.peer_id());
    let flags = ["--relay-client", "--peer", &circuit, "--peer", &at_relay];
    let dialler = network.validator(2, &[&LISTEN[..], &flags].concat());
    let reached = network.wait_peer(&dialler, &hidden, |_| true);
    assert!(reached.contains("/p2p-circuit"), "{reached}");
    network.decide(&dialler, "over the relay");
    network.decide(&hidden, "from behind the relay");
}

#[test]
fn a_relayed_connection_gives_way_to_a_direct_one_and_the_handshake_is_done_again() {
    let network = Network::new(3);
    let relay = network.validator(0, &[&LISTEN[..], &["--relay-server"]].concat());
    let at_relay = relay.address("/tcp/");
    let punching = [&LISTEN[..], &["--hole-punching"]].concat();
    let hidden = network.validator(1, &[&punching[..], &["--relay", &at_relay]].concat());
    hidden.wait_logged("a relay has given this node a place");
    let circuit = format!("{at_relay}/p2p-circuit/p2p/{}", hidden.peer_id());
    let dialler = network.validator(2, &[&punching[..], &["--relay-client", "--peer", &circuit]].concat());
    network.wait_counter(&dialler, "conclave_hole_punches_total{kind=\"done\"}");
    dialler.wait_logged("a direct connection takes the place of the relayed one");
    network.wait_peer(&dialler, &hidden, |address| !address.contains("/p2p-circuit"));
    network.wait_peer(&hidden, &dialler, |address| !address.contains("/p2p-circuit"));
    network.decide(&dialler, "directly");
}
