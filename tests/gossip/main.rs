//! Announcements on real processes, through a module written here from the page of the format alone.

#![allow(clippy::unwrap_used)]

mod module;
mod nodes;

use module::Module;
use nodes::{Nodes, eventually, program, succeed};

const TYPE: u16 = 1337;

/// A line of five, each the neighbour of the next.
const LINE: [&[usize]; 5] = [&[], &[0], &[1], &[2], &[3]];

#[test]
fn a_client_of_others_works_unchanged() {
    let nodes = Nodes::start(&[&[], &[0], &[0, 1]]);
    let mut modules = nodes.modules(&[0, 1], TYPE);
    nodes.wait_subscriptions(2, 2);
    let mut announcer = Module::connect(nodes.gossip(2));
    // The vector of the page, and the connection is gone.
    announcer.write(b"\x00\x10\x01\xf4\x04\x00\x05\x39deadbeef");
    drop(announcer);
    for module in &mut modules {
        let notified = module.next();
        assert_eq!((notified.data_type, notified.data.as_slice()), (TYPE, &b"deadbeef"[..]));
        module.validate(&notified, true);
    }
    // Of each announcement one notification: the next one is of the next.
    Module::announce(nodes.gossip(2), 0, TYPE, b"second");
    Module::announce(nodes.gossip(2), 0, TYPE, b"second");
    modules.iter_mut().for_each(|module| assert_eq!(module.take(), b"second"));
    Module::announce(nodes.gossip(2), 0, TYPE, b"third");
    modules.iter_mut().for_each(|module| assert_eq!(module.take(), b"third"));
    eventually("the repetition is counted", || {
        (nodes.metric(2, "conclave_announcements_total", "announced_again") == 1).then_some(())
    });
    // The announcer is not notified of its own, the other subscribers of its node are.
    modules[0].say(0, TYPE, b"by one that listens");
    assert_eq!(modules[1].take(), b"by one that listens");
    let mut neighbour = nodes.module(0, TYPE);
    modules[1].say(0, TYPE, b"its answer");
    assert_eq!(modules[0].take(), b"its answer");
    assert_eq!(neighbour.take(), b"its answer");
    modules[0].say(0, TYPE, b"to all others");
    assert_eq!(neighbour.take(), b"to all others");
    assert_eq!(modules[1].take(), b"to all others");
}

#[test]
fn the_command_line_announces_and_listens() {
    let nodes = Nodes::start(&[&[], &[0]]);
    let at = |node: usize| ["--address".to_owned(), nodes.gossip(node).to_string()];
    let mut listener = program();
    listener.args(["--output", "json", "gossip", "listen", "7", "--count", "2"]).args(at(0));
    let listener = listener.stdout(std::process::Stdio::piped()).spawn().unwrap();
    nodes.wait_subscriptions(1, 1);
    let text = succeed(program().args(["gossip", "announce", "7", "lunch is ready"]).args(at(1)));
    assert_eq!(text.trim_end(), format!("announced 14 bytes of type 7 through {}", nodes.gossip(1)));
    succeed(program().args(["gossip", "announce", "7", "00ff", "--hex", "--ttl", "1"]).args(at(1)));
    let output = listener.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"type": 7, "data": "6c756e6368206973207265616479", "text": "lunch is ready"})
    );
    assert_eq!(lines[1], serde_json::json!({"type": 7, "data": "00ff"}));
    let refused = program().args(["gossip", "announce", "7", ""]).args(at(1)).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("at least one byte"));
}

#[test]
fn ttl_1_2_and_0_reach_one_hop_two_hops_and_everybody_in_a_line_of_five() {
    let nodes = Nodes::start(&LINE);
    let mut modules = nodes.modules(&[0, 1, 2, 3, 4], TYPE);
    for (node, neighbours) in [(0, 1), (1, 2), (2, 2), (3, 2), (4, 1)] {
        nodes.wait_subscriptions(node, neighbours);
    }
    for (ttl, data) in [(1, b"one hop"), (2, b"twohops"), (0, b"to all.")] {
        modules[0].say(ttl, TYPE, data);
    }
    // At each node an announcement overtakes none that came before it, so the last to arrive is the last sent.
    let expected: [&[&[u8]]; 5] =
        [&[], &[b"one hop", b"twohops", b"to all."], &[b"twohops", b"to all."], &[b"to all."], &[b"to all."]];
    for (module, expected) in modules.iter_mut().zip(expected) {
        let taken: Vec<Vec<u8>> = expected.iter().map(|_| module.take()).collect();
        assert_eq!(taken, expected);
    }
    // Back from the other end: node 0 is reached, and has been notified of nothing of its own.
    modules[4].say(0, TYPE, b"back");
    modules[..4].iter_mut().rev().for_each(|module| assert_eq!(module.take(), b"back"));
}

#[test]
fn a_shorter_way_is_taken_also_when_another_node_has_published_the_same_with_as_many_hops_left() {
    // 0 and 1 are neighbours of 2, and of each other; 3 is behind 2: two hops from 0, three by way of 1.
    let nodes = Nodes::start(&[&[], &[0], &[0, 1], &[2]]);
    let mut modules = nodes.modules(&[1, 2, 3], TYPE);
    nodes.wait_subscriptions(0, 2);
    for (node, neighbours) in [(1, 1), (2, 2), (3, 1)] {
        nodes.wait_subscriptions(node, neighbours);
    }
    Module::announce(nodes.gossip(0), 2, TYPE, b"two hops");
    let held_back = modules[1].next();
    // Node 1 passes it on before node 2 does.
    assert_eq!(modules[0].take(), b"two hops");
    eventually("node 2 has both", || {
        (nodes.metric(2, "conclave_announcements_total", "\"copy\"") == 2).then_some(())
    });
    modules[1].validate(&held_back, true);
    assert_eq!(modules[2].take(), b"two hops");
}

#[test]
fn a_node_passes_on_what_all_its_modules_call_valid_and_nothing_else() {
    let nodes = Nodes::start_with(&[&[], &[0], &[1]], &["--gossip-validation-timeout", "3"]);
    let mut middle = nodes.modules(&[1, 1], TYPE);
    let mut end = nodes.module(2, TYPE);
    nodes.wait_subscriptions(0, 1);
    nodes.wait_subscriptions(1, 1);
    let outcome = |outcome: &str| nodes.metric(1, "conclave_announcements_total", &format!("\"{outcome}\""));
    // One says no.
    Module::announce(nodes.gossip(0), 0, TYPE, b"bad");
    let notified: Vec<_> = middle.iter_mut().map(Module::next).collect();
    middle[0].validate(&notified[0], true);
    middle[1].validate(&notified[1], false);
    nodes.wait_logged(1, "an announcement that a module here calls invalid");
    assert_eq!(outcome("invalid"), 1);
    // One does not answer.
    Module::announce(nodes.gossip(0), 0, TYPE, b"late");
    let notified: Vec<_> = middle.iter_mut().map(Module::next).collect();
    middle[0].validate(&notified[0], true);
    eventually("nobody waits any more", || (outcome("unanswered") == 1).then_some(()));
    middle[1].validate(&notified[1], true);
    // All agree.
    Module::announce(nodes.gossip(0), 0, TYPE, b"good");
    middle.iter_mut().for_each(|module| assert_eq!(module.take(), b"good"));
    assert_eq!(end.take(), b"good", "and of the others nothing came here");
}

#[test]
fn modules_that_misbehave_lose_their_connection_and_nobody_else_notices() {
    let nodes = Nodes::start(&[&[], &[0]]);
    let mut good = nodes.modules(&[0, 1], TYPE);
    nodes.wait_subscriptions(0, 1);
    nodes.wait_subscriptions(1, 1);
    let bad: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\n\r\n", "a message of type 21536, expected 500, 501 or 503"),
        (b"\x00\x10\x01\xf6\xb8\xa3\x05\x39deadbeef", "a message of type 502"),
        (b"\x00\x03\x01\xf4", "a message of type 500 with size 3, expected more than 8"),
        (b"\x00\x09\x01\xf5\x00\x00\x05\x39\x00", "a message of type 501 with size 9, expected 8"),
        (b"\x00\x08\x01\xf4\x00\x00\x05\x39", "an ANNOUNCE without data"),
        (b"\x00\x08\x01\xf7\x12\x34\x00\x01", "a VALIDATION for message id 4660"),
        (b"\x00\x10\x01\xf4\x00\x00\x05\x39dead", "the stream ended within a message: 12 of 16 bytes"),
        (b"\x00\x08\x01", "the stream ended within a message: 3 of 8 bytes"),
    ];
    for (bytes, reason) in bad {
        let mut module = Module::connect(nodes.gossip(0));
        module.write(bytes);
        module.end();
        assert_eq!(module.wait_closed(), 0);
        nodes.wait_logged(0, reason);
        // Everybody else goes on.
        good[0].say(0, TYPE, reason.as_bytes());
        assert_eq!(good[1].take(), reason.as_bytes());
    }
}

#[test]
fn a_module_that_does_not_read_is_disconnected_and_the_others_get_everything() {
    let nodes = Nodes::start(&[&[]]);
    let mut slow = nodes.module(0, TYPE);
    let mut good = nodes.module(0, TYPE);
    let mut announcer = Module::connect(nodes.gossip(0));
    let slow_modules = || nodes.metric(0, "conclave_slow_modules_total", "");
    // More than the sockets and the node hold for one module, by far.
    let round = (0u32..2000).find(|number| {
        let mut data = vec![7; 60_000];
        data[..4].copy_from_slice(&number.to_be_bytes());
        announcer.say(0, TYPE, &data);
        assert_eq!(good.take(), data);
        slow_modules() == 1
    });
    assert!(round.is_some_and(|round| round > 60), "not before 4 MiB wait: {round:?}");
    assert!(nodes.log(0).contains("it reads too slowly"));
    assert!(slow.wait_closed() > 0, "it had some of it");
    announcer.say(0, TYPE, b"after");
    assert_eq!(good.take(), b"after");
}

#[test]
fn a_node_that_restarts_at_once_is_subscribed_again_on_both_sides() {
    let mut nodes = Nodes::start(&[&[], &[0]]);
    let mut round = 0;
    let mut modules = nodes.modules(&[0, 1], TYPE);
    for restarted in [1, 1, 0] {
        nodes.wait_subscriptions(0, 1);
        nodes.wait_subscriptions(1, 1);
        for node in [0, 1] {
            round += 1;
            let data = format!("round {round}");
            modules[node].say(0, TYPE, data.as_bytes());
            assert_eq!(modules[1 - node].take(), data.as_bytes());
        }
        nodes.kill(restarted);
        nodes.run(restarted);
        modules[restarted] = nodes.module(restarted, TYPE);
        nodes.wait_connected(0, 1);
        nodes.wait_connected(1, 1);
    }
}
