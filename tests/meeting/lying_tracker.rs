//! Trackers that lie, each in its own way, beside one that does not: every lie is counted, by tracker, and the node finds
//! its network all the same.

use super::{
    Observer,
    network::{Network, eventually, sample},
    tracker::Tracker,
};
use conclave_behaviours::{
    exchange,
    rendezvous::{MAX_RECORDS, PROTOCOL},
};
use conclave_ledger::keys::SecretKey;
use conclave_protocol::peer_record::PeerRecord;
use futures::StreamExt;
use libp2p::{Multiaddr, Swarm, request_response::Message, swarm::SwarmEvent};
use std::{ops::Range, time::Duration};

/// Different pages of the tracker that has always more: more records in all than a table has places for.
const PAGES: usize = 5;

/// How a tracker lies.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// It answers with what is no answer.
    Garbage,
    /// It never answers.
    Silence,
    /// It tells of peers that have not signed it.
    Forged,
    /// It tells of peers that do not exist, signed by keys of its own, and always has more.
    Endless,
    /// It says that nobody is there.
    Nobody,
}

/// The kind of a request: 0 to register, 3 to discover.
fn kind(request: &[u8]) -> u8 {
    // The length, in one byte or two; then the field 1, the kind, which protobuf leaves out when it is 0.
    let start = if request[0] & 0x80 == 0 { 1 } else { 2 };
    if request[start] == 8 { request[start + 1] } else { 0 }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of protobuf that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], varint(bytes.len()).as_slice(), bytes].concat()
}

fn framed(message: Vec<u8>) -> Vec<u8> {
    [varint(message.len()), message].concat()
}

/// A node is registered, for an hour.
fn registered() -> Vec<u8> {
    let ok = [&[0x08, 0, 0x18], varint(3600).as_slice()].concat();
    framed([&[0x08, 1], field(3, &ok).as_slice()].concat())
}

/// Peers of this network with these numbers, each signed by a key of its own or, where that is a lie, by another.
fn discovered(network: &str, records: Range<usize>, forged: bool) -> Vec<u8> {
    let namespace = field(1, format!("conclave/{}", &network[..16]).as_bytes());
    let mut answer = Vec::new();
    for number in records {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        // On port 1 of loopback nobody listens; each is in a part of the network of its own.
        let address = vec![4, 127, number as u8, (number >> 8) as u8, 1, 6, 0, 1];
        let record = PeerRecord::sign(&SecretKey::from_seed(seed), 1, &[address]);
        let mut envelope = record.envelope().to_vec();
        if forged {
            *envelope.last_mut().unwrap() ^= 1;
        }
        answer.extend(field(1, &[namespace.clone(), field(2, &envelope)].concat()));
    }
    answer.extend(field(2, b"cookie"));
    framed([&[0x08, 4], field(6, &answer).as_slice()].concat())
}

/// Starts a tracker that lies; returns where it listens.
async fn start(lie: Lie, network: String) -> String {
    let mut unread = libp2p::metrics::Registry::default();
    let keypair = libp2p::identity::Keypair::generate_ed25519();
    let protocol = exchange::Config {
        name: PROTOCOL.to_string(),
        max_request_bytes: 1 << 16,
        max_response_bytes: 1 << 20,
        timeout: Duration::from_secs(10),
        max_concurrent: 64,
        framing: exchange::Framing::Substream,
    };
    let mut swarm: Swarm<exchange::Behaviour> =
        conclave_behaviours::swarm::build_with(keypair, &mut unread, Duration::from_secs(60), |_, _| {
            exchange::behaviour(&protocol)
        })
        .unwrap();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse::<Multiaddr>().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with_p2p(*swarm.local_peer_id()).unwrap().to_string();
        }
    };
    let page = |page: usize| discovered(&network, page * MAX_RECORDS..(page + 1) * MAX_RECORDS, false);
    let told: Vec<Vec<u8>> = match lie {
        Lie::Forged => vec![discovered(&network, 0..200, true)],
        Lie::Endless => (0..PAGES).map(page).collect(),
        Lie::Garbage | Lie::Silence | Lie::Nobody => vec![discovered(&network, 0..0, false)],
    };
    let mut pages = told.into_iter().cycle();
    tokio::spawn(async move {
        // Questions that are never answered.
        let mut held = Vec::new();
        loop {
            let SwarmEvent::Behaviour(exchange::Event::Message { message, .. }) =
                swarm.select_next_some().await
            else {
                continue;
            };
            let Message::Request { request, channel, .. } = message else { continue };
            let answer = match (lie, kind(&request)) {
                (Lie::Silence, _) => {
                    held.push(channel);
                    continue;
                }
                (Lie::Garbage, _) => framed(b"garbage".to_vec()),
                (_, 0) => registered(),
                (_, _) => pages.next().unwrap(),
            };
            // The node may be gone.
            let _ = swarm.behaviour_mut().send_response(channel, answer);
        }
    });
    address
}

#[test]
fn the_lies_of_trackers_are_counted_and_an_honest_one_is_heard_beside_them() {
    let mut network = Network::start_some(4, 0, 200);
    let honest = Tracker::start(&network.home.join("tracker"));
    for node in 0..4 {
        network.run_with(node, &["--admission-bits", super::BITS, "--tracker", &honest.address]);
    }
    (0..4).for_each(|node| network.wait_connected(node, 3));
    let id = super::network_id(&network).to_string();
    let lies = [Lie::Endless, Lie::Garbage, Lie::Silence, Lie::Forged, Lie::Nobody];
    let liars = lies.map(|lie| network.block_on(start(lie, id.clone())));
    let mut flags = Vec::new();
    liars.iter().chain([&honest.address]).for_each(|address| flags.extend(["--tracker", address]));
    let observer = Observer::start(&network, 1, &flags);
    super::wait_met(&network, std::slice::from_ref(&observer), 4, 4);

    let metrics = || network.block_on(observer.client().metrics()).unwrap();
    let wait = |name: &str, tracker: &String, label: (&str, &str), least: f64| {
        eventually(&format!("{name} of {tracker} with {label:?} is {least}"), || {
            let labels = [("tracker", tracker.as_str()), label];
            let labels = if label.0.is_empty() { &labels[..1] } else { &labels[..] };
            (sample(&metrics(), name, labels) >= least).then_some(())
        });
    };
    let [endless, garbage, silent, forged, nobody] = &liars;
    let [answers, failures, records] = [
        "conclave_trackers_answers_total",
        "conclave_trackers_failures_total",
        "conclave_trackers_records_total",
    ];
    // Sixteen pages, and no more of them in a row.
    wait("conclave_trackers_cut_off_total", endless, ("", ""), 1.0);
    wait(records, endless, ("outcome", "taken"), 16.0 * MAX_RECORDS as f64);
    for asked in ["register", "discover"] {
        wait(failures, garbage, ("asked", asked), 1.0);
        wait(failures, silent, ("asked", asked), 1.0);
        wait(answers, forged, ("asked", asked), 1.0);
        wait(answers, nobody, ("asked", asked), 1.0);
        wait(answers, &honest.address, ("asked", asked), 1.0);
    }
    wait(records, forged, ("outcome", "refused"), 200.0);
    wait(records, &honest.address, ("outcome", "taken"), 4.0);
    let told =
        |tracker: &str, outcome| sample(&metrics(), records, &[("tracker", tracker), ("outcome", outcome)]);
    assert_eq!((told(forged, "taken"), told(nobody, "taken"), told(nobody, "refused")), (0.0, 0.0, 0.0));
    assert_eq!(told(&honest.address, "refused"), 0.0);
    let registered =
        |tracker: &str| sample(&metrics(), "conclave_trackers_registered", &[("tracker", tracker)]);
    assert_eq!([garbage, silent, forged, &honest.address].map(|it| registered(it)), [0.0, 0.0, 1.0, 1.0]);

    // What the endless one makes up fills its part of the table and no more.
    let known = network.block_on(observer.client().known_peers()).unwrap().peers;
    let made_up =
        known.iter().filter(|peer| peer.addresses.iter().any(|address| address.ends_with("/tcp/1")));
    assert!(made_up.count() <= 256, "{}", known.len());
    super::check_follows(&network, std::slice::from_ref(&observer), 0, "in spite of them");
}
