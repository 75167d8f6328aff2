//! Bytes that are no messages, and messages before their time.

use super::{PENALTIES, REFUSALS, TRAITOR, check_undisturbed, network_id, peer::Attacker, three_of_four};
use crate::{
    network::{Network, eventually},
    peer::{Lane, framed},
};
use conclave_ledger::{codec, keys::SecretKey};
use conclave_protocol::{
    admission, consensus,
    dissemination::{self, MAX_ITEMS},
    handshake::{RefusalReason, Request, Role},
    peer_exchange, sync,
};
use libp2p::PeerId;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use std::time::Duration;

/// A message that the lane takes.
fn good(lane: Lane) -> Vec<u8> {
    match lane {
        Lane::Handshake => codec::encode(&Request::Refused(RefusalReason::Timeout)),
        Lane::Sync => codec::encode(&sync::Request::Status { height: 1, proofs: 0 }),
        Lane::Admission => codec::encode(&admission::Request::Welcome),
        Lane::Peers => codec::encode(&peer_exchange::Request::Peers { limit: 1, nonce: 2, bits: 3 }),
        Lane::Consensus | Lane::ConsensusBulk => {
            codec::encode(&consensus::Message::Decided { height: 1, proofs: 0 })
        }
        Lane::Transactions | Lane::TransactionsBulk => {
            codec::encode(&dissemination::Message::Have(vec![conclave_ledger::hash::Hash([4; 32])]))
        }
    }
}

/// The same with its first item's argument in a byte of its own, which is longer than need be.
fn not_canonical(message: &[u8]) -> Vec<u8> {
    let argument = message[0] & 0x1f;
    assert!(argument < 24, "{message:?}");
    [&[message[0] - argument + 24, argument], &message[1..]].concat()
}

/// What a lane is fed, by the name of what is wrong with it.
fn garbage(lane: Lane, random: &mut ChaCha20Rng) -> Vec<(&'static str, Vec<u8>)> {
    let mut noise = [0; 300];
    random.fill_bytes(&mut noise);
    let message = good(lane);
    let cut = &message[..message.len() - 1];
    let trailing = [message.as_slice(), &[0]].concat();
    if !lane.is_channel() {
        return vec![
            ("random", noise.to_vec()),
            ("oversized", vec![0x41; 200 << 10]),
            ("truncated", cut.to_vec()),
            ("not canonical", not_canonical(&message)),
            ("more than one", trailing),
            ("empty", Vec::new()),
        ];
    }
    let announced = [&[0xff; 4], noise.as_slice()].concat();
    let ended = framed(&message)[..message.len()].to_vec();
    vec![
        ("random", framed(&noise)),
        ("oversized", announced),
        ("a stream that ends", ended),
        ("truncated", framed(cut)),
        ("not canonical", framed(&not_canonical(&message))),
        ("more than one", framed(&trailing)),
        ("empty", framed(&[])),
    ]
}

/// Takes part as the validator whose key it has; the node may still have to notice that the one before is gone.
async fn enter_as_traitor(attacker: &mut Attacker, address: &str, key: &SecretKey) -> PeerId {
    loop {
        let peer = attacker.dial(address).await.unwrap();
        match attacker.enter(peer, Role::Validator(key.public()), key).await {
            Ok(()) => return peer,
            Err(RefusalReason::KeyInUse) => attacker.closed(peer).await,
            Err(reason) => panic!("a good handshake is refused: {reason}"),
        }
    }
}

fn attack(network: &Network, address: &str, lane: Lane, what: &str, bytes: &[u8]) {
    let key = network.key(TRAITOR);
    let before = network.metric(0, PENALTIES, &[("severity", "fatal")]);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(network_id(network));
        let peer = match lane {
            Lane::Handshake => attacker.dial(address).await.unwrap(),
            _ => enter_as_traitor(&mut attacker, address, &key).await,
        };
        // Lanes without answers fail when the node ends them.
        attacker.send(peer, lane, bytes.to_vec());
        attacker.closed(peer).await;
        attacker
    });
    eventually(&format!("{lane:?}, {what}: it is blamed"), || {
        (network.metric(0, PENALTIES, &[("severity", "fatal")]) > before).then_some(())
    });
    drop(attacker);
}

#[test]
fn bytes_that_are_no_messages_are_blamed_on_every_protocol() {
    let seed = [41; 32];
    let mut random = ChaCha20Rng::from_seed(seed);
    let network = three_of_four();
    let addresses = network.addresses(0);
    let mut number = 0;
    for lane in Lane::ALL.into_iter().chain([Lane::Admission, Lane::Peers]) {
        for (what, bytes) in garbage(lane, &mut random) {
            number += 1;
            attack(&network, &addresses[number % addresses.len()], lane, what, &bytes);
        }
        check_undisturbed(&network, &format!("{lane:?} was fed garbage, seed {seed:?}"));
    }
    let penalties = network.metric(0, PENALTIES, &[]);
    assert!(penalties >= f64::from(number as u32), "{penalties} for {number} attacks");
    network.wait_metric(0, "conclave_connections", &[], 2.0);
}

/// Good messages that no honest node sends.
#[test]
fn messages_beyond_their_bounds_are_blamed() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let ids = vec![conclave_ledger::hash::Hash([5; 32]); MAX_ITEMS + 1];
    let have = framed(&codec::encode(&dissemination::Message::Have(ids)));
    attack(&network, &address, Lane::Transactions, "more ids than allowed", &have);
    check_undisturbed(&network, "too many ids were announced");
}

#[test]
fn what_comes_before_the_handshake_is_refused() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let transaction = network.record(TRAITOR, "sent before the handshake");
    let push =
        framed(&codec::encode(&dissemination::Message::Transactions(vec![transaction.clone().into()])));

    // A request fails at once.
    for (number, lane) in (1..).zip([Lane::Sync, Lane::Peers]) {
        let failed = network.block_on(async {
            let mut attacker = Attacker::new(network_id(&network));
            let peer = attacker.dial(&address).await.unwrap();
            let asked = attacker.ask(peer, lane, good(lane));
            tokio::time::timeout(Duration::from_secs(5), asked).await.expect("it is not left waiting")
        });
        assert!(failed.is_err(), "{lane:?}: {failed:?}");
        network.wait_metric(0, PENALTIES, &[("severity", "serious")], f64::from(number));
    }

    // Frames are not taken, not then and not later.
    let key = network.key(TRAITOR);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        let peer = attacker.dial(&address).await.unwrap();
        for (lane, frame) in
            [(Lane::Transactions, push.clone()), (Lane::Consensus, framed(&good(Lane::Consensus)))]
        {
            let ended = attacker.ask(peer, lane, frame).await;
            // The substream ends, one way or the other.
            assert!(ended.as_ref().map_or(true, Vec::is_empty), "{ended:?}");
        }
        attacker.enter(peer, Role::Validator(key.public()), &key).await.unwrap();
        attacker
    });
    network.wait_metric(0, PENALTIES, &[("severity", "slight")], 2.0);
    let id = attacker.id().to_string();
    let log = network.log(0);
    for channel in ["Transactions", "Consensus"] {
        let what = format!("it opened the {channel} channel before its handshake was done");
        assert!(log.lines().any(|line| line.contains(&id) && line.contains(&what)), "{what}:\n{log}");
    }
    check_undisturbed(&network, "frames came before the handshake");
    let (client, unknown) = (network.client(0), transaction.id());
    assert!(network.block_on(client.transaction(&unknown)).is_err(), "the node has never seen it");

    // One that goes on with it is kept out.
    network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        let peer = attacker.dial(&address).await.unwrap();
        for _ in 0..150 {
            attacker.send(peer, Lane::Transactions, push.clone());
        }
        attacker.closed(peer).await;
    });
    let log = network.log(0);
    assert!(!log.contains("panicked"), "{log}");
}

/// A validator that takes part and reads nothing: what waits for it is bounded.
#[test]
fn a_peer_that_does_not_read_is_sent_no_more_than_its_share() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let key = network.key(TRAITOR);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        enter_as_traitor(&mut attacker, &address, &key).await;
        attacker
    });
    let unsent = || network.metric(0, "conclave_unsent_frames_total", &[("kind", "transactions")]);
    let filler = "x".repeat(32_000);
    // Whatever the connection itself takes up, twice the bound is more.
    for number in 0..2 * 1024 {
        if unsent() > 0.0 {
            break;
        }
        let records: Vec<_> =
            (0..16).map(|part| network.record(0, &format!("{number} {part} {filler}"))).collect();
        let decided = network.client(0);
        network.block_on(decided.submit_all(&records, Some(Duration::from_secs(30)))).unwrap();
    }
    assert!(unsent() > 0.0, "what was not read was left out at some time");
    check_undisturbed(&network, "somebody did not read");
    drop(attacker);
}

/// What peers do again and again is counted, but does not fill the log.
#[test]
fn a_flood_of_offences_is_counted_and_does_not_fill_the_log() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let role = Role::Validator(network.key(TRAITOR).public());
    let floods = 200;
    network.block_on(async {
        for _ in 0..floods {
            let mut attacker = Attacker::new(network_id(&network));
            let peer = attacker.dial(&address).await.unwrap();
            let key = attacker.key.clone();
            assert_eq!(attacker.enter(peer, role, &key).await, Err(RefusalReason::FalseClaim));
        }
    });
    let labels = [("reason", "false-claim"), ("by", "us")];
    network.wait_metric(0, REFUSALS, &labels, f64::from(floods));
    check_undisturbed(&network, "a flood of false claims");
    let lines = network.log(0).lines().filter(|line| line.contains("refused a peer")).count();
    assert!((1..floods as usize / 2).contains(&lines), "{lines} lines for {floods} refusals");
}
