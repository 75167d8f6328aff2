//! Those who cheat, against real nodes: about their work, and about others' addresses.

use super::{
    Observer, address,
    network::{Network, eventually},
    peer::{self, Attacker, Lane},
    validators,
};
use conclave_ledger::{bytes::Bytes, codec, keys::SecretKey};
use conclave_protocol::{
    admission::{Purpose, Refusal, Request, Response},
    handshake,
    peer_exchange::{self, MAX_RECORDS, Told},
    peer_record::PeerRecord,
};
use libp2p::PeerId;

const ADMISSIONS: &str = "conclave_admissions_total";

/// Does the handshake with the node; its peer id, and the challenge that it gives.
async fn challenge(attacker: &mut Attacker, address: &str) -> (PeerId, u64) {
    let node = attacker.dial(address).await.unwrap();
    let (role, key) = (attacker.observer(), attacker.key.clone());
    attacker.enter(node, role, &key).await.unwrap();
    loop {
        let (lane, bytes, channel) = attacker.asked().await;
        if lane == Lane::Admission {
            let Ok(Request::Challenge { nonce, .. }) = codec::decode(&bytes, 1 << 10) else { panic!() };
            attacker.answer(lane, channel, codec::encode(&Response::Accepted));
            return (node, nonce);
        }
    }
}

/// A fresh attacker whose handshake with the node is done, and the challenge that it was given.
async fn challenged(network: &Network, address: &str) -> (Attacker, PeerId, u64) {
    let mut attacker = Attacker::new(super::network_id(network));
    let (node, nonce) = challenge(&mut attacker, address).await;
    (attacker, node, nonce)
}

/// The work of `prover` for `verifier`.
fn work(network: &Network, purpose: Purpose, verifier: PeerId, prover: PeerId, nonce: u64) -> u64 {
    let (network, bits) = (super::network_id(network), super::BITS.parse().unwrap());
    peer::work(purpose, network, (verifier, prover), nonce, bits)
}

async fn show(attacker: &mut Attacker, node: PeerId, nonce: u64, solution: u64) -> Response {
    let request = codec::encode(&Request::Solution { nonce, solution });
    let answer = attacker.ask(node, Lane::Admission, request).await.unwrap();
    codec::decode(&answer, 1 << 10).unwrap()
}

#[test]
fn work_that_is_not_ones_own_or_late_or_shown_twice_is_refused_by_a_real_node() {
    let network = validators();
    let to = address(&network, 0);
    let solve = |node, prover, nonce| work(&network, Purpose::Admission, node, prover, nonce);
    network.block_on(async {
        // Somebody else's work, for the right challenge.
        let (mut thief, node, nonce) = challenged(&network, &to).await;
        let other = Attacker::new(super::network_id(&network)).id();
        let answer = show(&mut thief, node, nonce, solve(node, other, nonce)).await;
        assert_eq!(answer, Response::Refused(Refusal::NoWork));
        thief.closed(node).await;

        // Somebody else's challenge, with the work that it asks for.
        let (first, node, nonce) = challenged(&network, &to).await;
        let (mut second, _, _) = challenged(&network, &to).await;
        let answer = show(&mut second, node, nonce, solve(node, first.id(), nonce)).await;
        assert_eq!(answer, Response::Refused(Refusal::ForeignChallenge));
        second.closed(node).await;

        // What was asked of it on a connection that is over, and is shown too late.
        let (mut late, node, nonce) = challenged(&network, &to).await;
        let solution = solve(node, late.id(), nonce);
        late.disconnect().await;
        let (node, _) = challenge(&mut late, &to).await;
        assert_eq!(show(&mut late, node, nonce, solution).await, Response::Refused(Refusal::Expired));
        late.closed(node).await;

        // Right, and then once more.
        let (mut twice, node, nonce) = challenged(&network, &to).await;
        let solution = solve(node, twice.id(), nonce);
        assert_eq!(show(&mut twice, node, nonce, solution).await, Response::Admitted);
        assert_eq!(show(&mut twice, node, nonce, solution).await, Response::Refused(Refusal::Replayed));
        twice.closed(node).await;
    });
    for reason in [Refusal::NoWork, Refusal::ForeignChallenge, Refusal::Expired, Refusal::Replayed] {
        network.wait_metric(0, ADMISSIONS, &[("outcome", reason.name())], 1.0);
        assert!(network.log(0).contains(&reason.to_string()), "{reason:?} is in the log");
    }
    let observer = Observer::start(&network, 1, &["--peer", &to]);
    super::wait_met(&network, &[observer], 4, 4);
}

#[test]
fn addresses_are_for_those_who_worked() {
    let network = validators();
    let to = address(&network, 0);
    let question = peer_exchange::Request::Peers { limit: 8, nonce: 1, bits: 1 };
    let question = codec::encode(&question);
    network.block_on(async {
        let (mut attacker, node, nonce) = challenged(&network, &to).await;
        let answer = attacker.ask(node, Lane::Peers, question.clone()).await.unwrap();
        let refused = peer_exchange::Response::Refused(peer_exchange::Refusal::NotAdmitted);
        assert_eq!(codec::decode(&answer, 1 << 10), Ok(refused));
        let solution = work(&network, Purpose::Admission, node, attacker.id(), nonce);
        assert_eq!(show(&mut attacker, node, nonce, solution).await, Response::Admitted);
        let answer = attacker.ask(node, Lane::Peers, question.clone()).await.unwrap();
        let Ok(peer_exchange::Response::Peers { peers, .. }) = codec::decode(&answer, 1 << 20) else {
            panic!("no peers")
        };
        assert_eq!(peers.iter().filter(|told| told.validator.is_some()).count(), 3);
        assert!(peers.iter().all(|told| PeerRecord::decode(&told.record.0).is_ok()));
    });
}

/// A record of a key of its own.
fn record(seed: u8) -> Told {
    let key = SecretKey::from_seed([seed; 32]);
    let record = PeerRecord::sign(&key, 1, &[vec![4, 10, seed, 0, 1, 6, 0, 80]]);
    Told { record: Bytes(record.envelope().to_vec()), validator: None }
}

/// Lets a node dial the attacker, admits it, and answers its question for peers with these and the right work.
async fn tell(network: &Network, attacker: &mut Attacker, peers: Vec<Told>) {
    let node = attacker.visited().await;
    let mut hello = None;
    loop {
        let (lane, bytes, channel) = attacker.asked().await;
        match lane {
            Lane::Handshake => {
                let role = attacker.observer();
                let answer = match (codec::decode(&bytes, 1 << 20).unwrap(), &hello) {
                    (handshake::Request::Hello(theirs), _) => {
                        hello = Some(theirs);
                        handshake::Response::Hello(attacker.hello(role))
                    }
                    (handshake::Request::Proof { .. }, Some(theirs)) => {
                        let proof = attacker.proof(node, theirs, role, &attacker.key);
                        let handshake::Request::Proof { signature } = proof else { panic!("{proof:?}") };
                        handshake::Response::Proof { signature }
                    }
                    _ => {
                        attacker.send(node, Lane::Admission, codec::encode(&Request::Welcome));
                        handshake::Response::Done
                    }
                };
                attacker.answer(lane, channel, codec::encode(&answer));
            }
            Lane::Peers => {
                let Ok(peer_exchange::Request::Peers { nonce, .. }) = codec::decode(&bytes, 1 << 10) else {
                    panic!("no question for peers")
                };
                let solution = Some(work(network, Purpose::Peers, node, attacker.id(), nonce));
                let answer = peer_exchange::Response::Peers { solution, peers };
                attacker.answer(lane, channel, codec::encode(&answer));
                return attacker.closed(node).await;
            }
            _ => {}
        }
    }
}

#[test]
fn records_that_do_not_hold_or_never_end_are_refused_and_nothing_of_them_is_kept() {
    let network = validators();
    let first = address(&network, 0);
    let mut forged = record(5);
    let (length, other) = (forged.record.0.len(), record(6).record.0);
    forged.record.0[length - 64..].copy_from_slice(&other[other.len() - 64..]);
    let without_end: Vec<Told> = (0..=MAX_RECORDS).map(|number| record(number as u8)).collect();
    // Far beyond the bound of an answer.
    let flood = vec![record(7); 4000];
    for (number, peers) in [vec![record(8), forged], without_end, flood].into_iter().enumerate() {
        let mut attacker = network.block_on(async { Attacker::new(super::network_id(&network)) });
        let to = network.block_on(attacker.listen());
        let observer = Observer::start(&network, number, &["--peer", &to, "--peer", &first]);
        network.block_on(tell(&network, &mut attacker, peers));
        let id = attacker.id().to_string();
        eventually("the observer blames the attacker", || {
            let log = observer.log();
            log.lines().any(|line| line.contains("blamed") && line.contains(&id)).then_some(())
        });
        super::wait_met(&network, std::slice::from_ref(&observer), 4, 4);
        let known = network.block_on(observer.client().known_peers()).unwrap().peers;
        let is_of_attacker = |address: &String| address.starts_with("/ip4/10.");
        assert!(!known.iter().any(|peer| peer.addresses.iter().any(is_of_attacker)), "{known:?}");
    }
}
