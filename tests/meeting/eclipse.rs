//! A node all of whose connections lead to liars comes out of it, and the connections that it has had longest are there
//! again when it is started again.

use super::{
    BITS, Observer,
    network::{Network, eventually, sample},
    peer::{self, Attacker, Lane, Seen},
    tracker::Tracker,
};
use conclave_ledger::{bytes::Bytes, codec, hash::NetworkId, keys::SecretKey};
use conclave_protocol::{
    admission::{Purpose, Request},
    handshake,
    peer_exchange::{self, Told},
    peer_record::PeerRecord,
};
use libp2p::{Multiaddr, PeerId};
use std::{collections::BTreeSet, sync::Arc};

/// Liars who wait to be dialled, and know of each other only.
const LIARS: usize = 6;

/// Liars who dial the victim themselves.
const CALLERS: usize = 3;

/// A liar who waits: an observer by all that it says, who tells of other liars.
struct Liar {
    attacker: Attacker,
    address: String,
}

impl Liar {
    async fn new(network: NetworkId) -> Self {
        let mut attacker = Attacker::new(network);
        let address = attacker.listen().await;
        Self { attacker, address }
    }

    /// What it has signed of itself.
    fn told(&self) -> Told {
        let mut address: Multiaddr = self.address.parse().unwrap();
        address.pop();
        let key: &SecretKey = &self.attacker.key;
        let record = PeerRecord::sign(key, 1, &[address.to_vec()]);
        Told { record: Bytes(record.envelope().to_vec()), validator: None }
    }

    /// Takes in whoever comes, for as long as the test runs.
    async fn wait_for_victims(mut self, friends: Arc<Vec<Told>>) {
        let bits = BITS.parse().unwrap();
        let (mut victim, mut hello): (Option<PeerId>, _) = (None, None);
        loop {
            let (lane, bytes, channel) = match self.attacker.seen().await {
                Seen::Connected(peer) => {
                    (victim, hello) = (Some(peer), None);
                    continue;
                }
                Seen::Asked(lane, bytes, channel) => (lane, bytes, channel),
                _ => continue,
            };
            let Some(node) = victim else { continue };
            let answer = match lane {
                Lane::Handshake => {
                    let role = self.attacker.observer();
                    match (codec::decode(&bytes, 1 << 20).unwrap(), &hello) {
                        (handshake::Request::Hello(theirs), _) => {
                            hello = Some(theirs);
                            codec::encode(&handshake::Response::Hello(self.attacker.hello(role)))
                        }
                        (handshake::Request::Proof { .. }, Some(theirs)) => {
                            let proof = self.attacker.proof(node, theirs, role, &self.attacker.key);
                            let handshake::Request::Proof { signature } = proof else { panic!("{proof:?}") };
                            codec::encode(&handshake::Response::Proof { signature })
                        }
                        (request, _) => {
                            if matches!(request, handshake::Request::Done) {
                                self.attacker.send(node, Lane::Admission, codec::encode(&Request::Welcome));
                            }
                            codec::encode(&handshake::Response::Done)
                        }
                    }
                }
                Lane::Peers => {
                    let Ok(peer_exchange::Request::Peers { nonce, .. }) = codec::decode(&bytes, 1 << 10)
                    else {
                        continue;
                    };
                    let ids = (node, self.attacker.id());
                    let solution = Some(peer::work(Purpose::Peers, self.attacker.network, ids, nonce, bits));
                    codec::encode(&peer_exchange::Response::Peers { solution, peers: friends.to_vec() })
                }
                _ => continue,
            };
            self.attacker.answer(lane, channel, answer);
        }
    }
}

/// How often the trackers were asked for peers, not counting once for each renewal of the registration.
fn questions_besides_heartbeats(network: &Network, node: &Observer) -> f64 {
    let metrics = network.block_on(node.client().metrics()).unwrap();
    let answered = |asked| sample(&metrics, "conclave_trackers_answers_total", &[("asked", asked)]);
    answered("discover") - answered("register")
}

#[test]
fn a_node_among_liars_alone_asks_its_tracker_again_and_meets_somebody_honest() {
    let network = super::validators();
    let id = super::network_id(&network);
    let tracker = Tracker::start(&network.home.join("tracker"));
    let mut liars = Vec::new();
    for _ in 0..LIARS {
        liars.push(network.block_on(Liar::new(id)));
    }
    let first = liars[0].address.clone();
    let friends: Arc<Vec<Told>> = Arc::new(liars.iter().map(Liar::told).collect());
    let mut liars_ids: BTreeSet<String> = liars.iter().map(|liar| liar.attacker.id().to_string()).collect();
    for liar in liars {
        network.spawn(liar.wait_for_victims(friends.clone()));
    }
    let flags = ["--tracker", &tracker.address, "--max-connections", "8", "--refresh-interval-s", "5"];
    let victim = Observer::start(&network, 1, &[flags.as_slice(), &["--peer", &first]].concat());
    let to = victim.address(&network);
    for _ in 0..CALLERS {
        let caller = network.block_on(async {
            let mut caller = Attacker::new(id);
            let node = caller.dial(&to).await.unwrap();
            caller.be_admitted(node, BITS.parse().unwrap()).await.unwrap();
            caller
        });
        liars_ids.insert(caller.id().to_string());
        network.spawn(async move {
            let mut caller = caller;
            loop {
                caller.seen().await;
            }
        });
    }
    let peers = eventually("all places are the liars'", || {
        let peers = network.block_on(victim.client().peers()).ok()?.peers;
        (peers.len() == 3 + CALLERS).then_some(peers)
    });
    assert!(peers.iter().all(|peer| liars_ids.contains(&peer.peer_id)), "{peers:?}");
    let before = questions_besides_heartbeats(&network, &victim);

    // Two who are honest register at the tracker, and dial nobody but a validator. Nobody tells the victim of them but the
    // tracker, and only if it asks.
    let known = super::address(&network, 0);
    let flags = ["--tracker", &tracker.address, "--target-connections", "0", "--peer", &known];
    let strangers = [2, 3].map(|number| Observer::start(&network, number, &flags));
    let honest = strangers.each_ref().map(Observer::id);
    let met = eventually("the victim meets somebody honest", || {
        let peers = network.block_on(victim.client().peers()).ok()?.peers;
        assert!(peers.len() <= 8, "{peers:?}");
        peers.into_iter().find(|peer| honest.contains(&peer.peer_id))
    });
    assert!(met.sources.contains(&"tracker".to_owned()), "{met:?}");
    let since = questions_besides_heartbeats(&network, &victim);
    assert!(since > before, "it has asked besides its heartbeat: {since}, before {before}");
    super::check_follows(&network, std::slice::from_ref(&victim), 0, "out of the eclipse");
}

#[test]
fn the_longest_connections_are_the_first_after_a_restart() {
    // Nobody decides here: observers alone.
    let network = Network::start_some(4, 0, 200);
    let quiet = ["--target-connections", "0"];
    let hub = Observer::start(&network, 1, &quiet);
    let to = hub.address(&network);
    let others = Observer::start_all(&network, 2..8, |_| {
        quiet.into_iter().chain(["--peer", &to]).map(String::from).collect()
    });
    super::wait_met(&network, std::slice::from_ref(&hub), 0, others.len());
    let known = |node: &Observer| network.block_on(node.client().known_peers()).unwrap().peers;
    let mut node = Observer::start(&network, 8, &["--peer", &to, "--target-connections", "4"]);
    for _ in 0..2 {
        let anchors = eventually("it knows all and has two anchors", || {
            let known = known(&node);
            let anchors: BTreeSet<String> =
                known.iter().filter(|peer| peer.anchor).map(|peer| peer.peer_id.clone()).collect();
            (known.len() > others.len() && anchors.len() == 2).then_some(anchors)
        });
        // As many places as there are anchors: whom it meets now it has chosen among all that it knows.
        node.restart(&["--target-connections", "2"]);
        super::wait_met(&network, std::slice::from_ref(&node), 0, 2);
        let peers = network.block_on(node.client().peers()).unwrap().peers;
        let met: BTreeSet<String> = peers.into_iter().map(|peer| peer.peer_id).collect();
        assert_eq!(met, anchors);
        node.restart(&["--target-connections", "4"]);
        super::wait_met(&network, std::slice::from_ref(&node), 0, 4);
    }
}
