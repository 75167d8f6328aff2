//! Many at once from one place: bounded, counted, and the others go on. How much slower is printed (`--nocapture`).

use super::{REFUSALS, check_undisturbed, network_id, peer::Attacker, three_of_four};
use crate::network::{Network, eventually};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::Semaphore};

const CONNECTIONS: &str = "conclave_connections";
const DENIED: &str = "conclave_connections_denied_total";

/// Connections that are opened to one node.
const KNOCKS: usize = 10_000;

/// How many of them at a time.
const AT_ONCE: usize = 400;

/// Identities that do the whole handshake, each from the same address, and do no work.
const SYBILS: usize = 1_000;

/// Most connections to a node that are not those of validators: the bound on one block of addresses.
const BOUND: f64 = 160.0;

/// Most peers of one part of the network that may owe their work at a time.
const BOUND_WITHOUT_WORK: f64 = 64.0;

/// Identities that come in at a time.
const AT_THE_DOOR: usize = 16;

/// Decides records at the node that is attacked, until `attack` ends; each takes so long.
pub(crate) fn decide_meanwhile(network: &Network, name: &str, goes_on: impl Fn() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < 10 || (goes_on() && times.len() < 500) {
        let record = network.record(0, &format!("{name} {}", times.len()));
        let start = Instant::now();
        network.decide(0, &record, Duration::from_secs(30)).expect("honest traffic goes on");
        times.push(start.elapsed());
    }
    times.sort();
    times
}

/// Prints how long `unit` took, before the attack `what` and meanwhile; the times are sorted.
pub(crate) fn say(unit: &str, what: &str, before: &[Duration], during: &[Duration]) {
    let of = |times: &[Duration], part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "{what}: {unit} took {:.1?} (median; 95 %: {:.1?}) before, {:.1?} ({:.1?}) meanwhile",
        of(before, 50),
        of(before, 95),
        of(during, 50),
        of(during, 95),
    );
}

/// Connections to the other validators, of which there may be two for a moment.
const VALIDATORS: f64 = 4.0;

/// Opens a connection and holds it until the other side ends it, or for a second.
async fn knock(address: &str) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let mut nothing = [0; 256];
        let read = async { while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {} };
        // Held for its time: that is the attack.
        let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
    }
}

#[test]
fn ten_thousand_connections_from_one_address_leave_room_for_others() {
    let network = three_of_four();
    let parts: Vec<String> = network.addresses(0)[0].split('/').map(String::from).collect();
    let address = Arc::new(format!("{}:{}", parts[2], parts[4]));
    let before = decide_meanwhile(&network, "before", || false);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let attack = network.spawn(async move {
        let mut knocks = Vec::with_capacity(KNOCKS);
        for _ in 0..KNOCKS {
            let (address, place) = (address.clone(), places.clone().acquire_owned().await.unwrap());
            knocks.push(tokio::spawn(async move {
                knock(&address).await;
                drop(place);
            }));
        }
        for knock in knocks {
            knock.await.unwrap();
        }
    });
    let during = decide_meanwhile(&network, "during", || {
        assert!(network.metric(0, CONNECTIONS, &[]) <= BOUND + VALIDATORS);
        !attack.is_finished()
    });
    network.block_on(attack).unwrap();
    say("a record", "10,000 connections from one address", &before, &during);
    let denied = network.metric(0, DENIED, &[("by", "address-block")]);
    assert!(denied > KNOCKS as f64 / 2.0, "{denied} were denied");
    check_undisturbed(&network, "ten thousand have knocked");
    // Whoever comes afterwards is let in.
    let address = network.addresses(0)[0].clone();
    eventually("there is room again", || {
        network.block_on(async {
            let mut attacker = Attacker::new(network_id(&network));
            let peer = attacker.dial(&address).await.ok()?;
            attacker.greet(peer, attacker.observer()).await.ok()
        })
    });
}

#[test]
fn a_thousand_identities_from_one_place_take_up_no_more_than_its_share() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let id = network_id(&network);
    let before = decide_meanwhile(&network, "before", || false);
    let places = Arc::new(Semaphore::new(AT_THE_DOOR));
    let attack = network.spawn(async move {
        let mut sybils = Vec::with_capacity(SYBILS);
        for _ in 0..SYBILS {
            let (address, place) = (address.clone(), places.clone().acquire_owned().await.unwrap());
            sybils.push(tokio::spawn(async move {
                let mut sybil = Attacker::new(id);
                let (role, key) = (sybil.observer(), sybil.key.clone());
                let peer = sybil.dial(&address).await.ok();
                let finished = match peer {
                    Some(peer) => {
                        sybil.try_enter(peer, role, &key).await.is_ok_and(|entered| entered.is_ok())
                    }
                    None => false,
                };
                drop(place);
                // Held as long as the test wants.
                (sybil, finished)
            }));
        }
        let mut all = Vec::with_capacity(SYBILS);
        for sybil in sybils {
            all.push(sybil.await.unwrap());
        }
        all
    });
    let during = decide_meanwhile(&network, "during", || {
        assert!(network.metric(0, CONNECTIONS, &[]) <= BOUND + VALIDATORS);
        !attack.is_finished()
    });
    let sybils = network.block_on(attack).unwrap();
    say("a record", &format!("{SYBILS} identities from one address"), &before, &during);
    let finished = sybils.iter().filter(|(_, finished)| *finished).count();
    println!("{finished} of them finished the handshake");
    let admitted = |outcome: &str| network.metric(0, "conclave_admissions_total", &[("outcome", outcome)]);
    assert_eq!(admitted("worked"), 0.0, "nobody has worked");
    assert!(admitted("busy") > 0.0, "most found no room");
    network.wait_metric(0, REFUSALS, &[("reason", "full"), ("by", "us")], 1.0);
    // Those who are refused stay for the moment that their answer takes.
    eventually("those without a place are gone", || {
        (network.metric(0, "conclave_peers", &[]) <= BOUND_WITHOUT_WORK + VALIDATORS).then_some(())
    });
    check_undisturbed(&network, "many have come");
}
