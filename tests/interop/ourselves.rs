//! `conclave probe` and `conclave swarm` with each other.

use crate::process::{conclave, member, probe};

const LISTEN: [&str; 4] = ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

#[test]
fn a_probe_over_tcp_and_quic_says_who_is_there_and_how_far() {
    let mut peer = member(&[&LISTEN[..], &["--kademlia", "/test/kad/1"]].concat());
    let id = peer.wait("started", |_| true)["peer"].clone();
    // Over QUIC libp2p's ping handler (0.48) answers the first ping of a connection at once, and later ones only when
    // something else wakes the connection: one ping there.
    for (transport, pings) in [("/tcp/", 3), ("/quic-v1", 1)] {
        let address = peer.address(transport);
        let without_id = address.split("/p2p/").next().unwrap();
        for address in [address.as_str(), without_id] {
            let report = probe(address, &["--count", &pings.to_string(), "--interval", "0.01"]);
            assert_eq!(report["peer"], id);
            assert_eq!(report["pings"]["times_ms"].as_array().unwrap().len(), pings);
            assert!(report["identity"]["agent"].as_str().unwrap().starts_with("conclave/"));
            let protocols = report["identity"]["protocols"].as_array().unwrap();
            assert!(protocols.iter().any(|protocol| protocol == "/test/kad/1"), "{protocols:?}");
            assert!(report["identity"]["observed"].as_str().unwrap().starts_with("/ip4/127.0.0.1/"));
        }
    }
    assert!(peer.interrupt(), "Ctrl-C is no failure");
}

#[test]
fn a_probe_that_fails_says_why_and_what_to_do() {
    let mut peer = member(&LISTEN);
    let address = peer.address("/tcp/");
    let transport = address.split("/p2p/").next().unwrap();
    let somebody_else = format!("{transport}/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let silent_address = format!("/ip4/127.0.0.1/tcp/{port}");
    for (address, parts) in [
        (somebody_else.as_str(), ["another one", "leave /p2p/"]),
        (silent_address.as_str(), ["in time", "--timeout"]),
        ("/ip4/127.0.0.1/udp/1", ["nobody can be reached", "it has the form"]),
    ] {
        let output = conclave(&["probe", address, "--timeout", "0.5"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{address}: {error}");
    }
}

#[test]
fn members_tell_each_other_and_find_each_other_by_one_bootstrap_peer() {
    let common = [&LISTEN[..], &["--kademlia", "/test/kad/1", "--topic", "talk"]].concat();
    let mut first = member(&common);
    let address = first.address("/tcp/");
    let with_bootstrap = [&common[..], &["--bootstrap", &address]].concat();
    let mut second = member(&[&with_bootstrap[..], &["--publish", "said early"]].concat());
    first.wait("message", |message| message["text"] == "said early");
    let second_id = second.wait("started", |_| true)["peer"].clone();
    let mut third = member(&[&with_bootstrap[..], &["--stdin", "--messages", "1"]].concat());
    let third_id = third.wait("started", |_| true)["peer"].clone();
    // The third knows the first alone; Kademlia's own lookups bring it to the second.
    third.wait("connected", |event| event["peer"] == second_id);
    third.wait("subscribed", |event| event["peer"] == second_id);
    third.say("from standard input");
    for peer in [&mut first, &mut second] {
        let message = peer.wait("message", |message| message["text"] == "from standard input");
        assert_eq!(message["author"], third_id);
    }
    let fourth = member(&["--bootstrap", &address, "--topic", "talk", "--publish", "one is enough"]);
    third.wait("message", |message| message["text"] == "one is enough");
    assert!(third.end(), "one message was wanted, and one has come");
    assert!(fourth.interrupt());
}

#[test]
fn time_that_is_up_with_nothing_met_is_a_failure() {
    let output = conclave(&["swarm", "--listen", "/ip4/127.0.0.1/tcp/0", "--for", "0.1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no peer was met"));
}
