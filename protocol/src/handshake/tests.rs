//! The handshake: between honest nodes over a network with delays, under attack, and under the laws of machines.

mod attacks;
mod dialling;
mod honest;
mod laws;
mod world;

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::PeerRecord,
    penalty::Penalty,
    rules::{Rule, Rules},
    time::Time,
};
use conclave_ledger::{bytes::Bytes, hash::Hash, keys::SecretKey};
use std::time::Duration;

/// The node key of a node.
fn node_key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// The validator key of a node.
fn validator_key(number: u8) -> SecretKey {
    SecretKey::from_seed([100 + number; 32])
}

/// The peer id of a node: an Ed25519 key as an identity multihash, as libp2p makes it.
fn peer(number: u8) -> Peer {
    let prefix = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    Peer::from_bytes(&[prefix.as_slice(), &node_key(number).public().0].concat()).unwrap()
}

fn config(number: u8, seed: u8) -> Config {
    Config {
        network: Hash([7; 32]),
        peer: peer(number),
        role: Role::Validator(validator_key(number).public()),
        key: validator_key(number),
        version: "conclave/test".to_owned(),
        response_timeout: Duration::from_secs(2),
        max_attempts: 10,
        first_retry: Duration::from_millis(100),
        longest_retry: Duration::from_secs(2),
        slow_retry: Duration::from_secs(10),
        unwelcome_retry: Duration::from_secs(60),
        simultaneous_window: Duration::from_secs(2),
        goodbye_timeout: Duration::from_millis(500),
        seed: [seed; 32],
        rules: Rules::default(),
    }
}

fn at(ms: u64) -> Time {
    Time::after_start(Duration::from_millis(ms))
}

/// What a machine wanted since it was last asked.
#[derive(Debug, Default)]
struct Wanted {
    sent: Vec<(Peer, Message)>,
    blamed: Vec<(Peer, Penalty)>,
    events: Vec<Event>,
}

fn drain(machine: &mut Handshake) -> Wanted {
    let mut wanted = Wanted::default();
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Send(peer, message) => wanted.sent.push((peer, message)),
            Output::Penalize(peer, penalty) => wanted.blamed.push((peer, penalty)),
            Output::Emit(event) => wanted.events.push(event),
        }
    }
    wanted
}

fn command(machine: &mut Handshake, command: Command, now: Time) -> Wanted {
    machine.handle(Input::Command(command), now);
    drain(machine)
}

fn request(machine: &mut Handshake, from: Peer, request: Request, now: Time) -> Wanted {
    machine.handle(Input::Received(from, Message::Request { number: 1 << 40, request }), now);
    drain(machine)
}

fn connect(machine: &mut Handshake, to: Peer, connection: u64, direction: Direction, now: Time) -> Wanted {
    command(machine, Command::ConnectionEstablished { peer: to, connection, direction, address: None }, now)
}
