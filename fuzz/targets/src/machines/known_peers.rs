//! The table of peers under finders, tellers and connections of any kind.

use super::admission::{any_group, any_peer};
use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_protocol::{
    known_peers::{Command, Config, Event, KnownPeers, Source},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};
use std::{collections::BTreeSet, time::Duration};

/// Most peers in the table.
const TABLE: usize = 5;

pub(super) struct Knowing {
    machine: KnownPeers,
    connected: BTreeSet<Peer>,
}

fn any_address(source: &mut Unstructured<'_>) -> String {
    match below(source, 8) {
        0 => draw::one_of(source, &world::KNOWN.texts).cloned().unwrap_or_default(),
        1 => format!("/dns/{}/tcp/1", "x".repeat(below(source, 300))),
        _ => format!("/ip4/192.{}.2.{}/tcp/7700", below(source, 3), below(source, 3)),
    }
}

fn any_addresses(source: &mut Unstructured<'_>) -> Vec<String> {
    (0..below(source, 10)).map(|_| any_address(source)).collect()
}

impl Knowing {
    fn command(&mut self, source: &mut Unstructured<'_>, now: Time) -> Option<Command> {
        let peer = any_peer(source);
        let validator = |source: &mut Unstructured<'_>| {
            chance(source, 64).then(|| world::validator_key(below(source, world::VALIDATORS)).public())
        };
        Some(match below(source, 24) {
            0..6 => {
                let from = draw::one_of(source, &Source::ALL).copied()?;
                // A node is found by others, too; it must not find itself.
                let peer = if chance(source, 16) { world::peer(0) } else { peer };
                let by = chance(source, 128).then(|| any_peer(source));
                Command::Found { peer, addresses: any_addresses(source), source: from, by }
            }
            6..9 => {
                let record = world::peer_record(below(source, world::NODES), below(source, 3) as u64);
                Command::Told { by: peer, record, validator: validator(source) }
            }
            9..14 => {
                let record = chance(source, 128)
                    .then(|| world::peer_record(1, 1))
                    .filter(|record| record.peer() == peer);
                self.connected.insert(peer);
                let (validator, group) = (validator(source), any_group(source));
                Command::Met { peer, validator, dialled: chance(source, 128), group, record }
            }
            14 => Command::Admitted { peer },
            15 if chance(source, 128) => Command::Asks { peer },
            15 => Command::Answered { peer },
            16..18 => Command::DialFailed { peer },
            18 => Command::Refused { peer, for_want_of_room: chance(source, 128) },
            19 => Command::KeptOut { peer, until: now + Duration::from_secs(below(source, 100) as u64) },
            20 => {
                let mask = below(source, 16);
                let others = (0..world::VALIDATORS).filter(|number| mask & (1 << number) != 0);
                let others = others.map(|number| world::validator_key(number).public()).collect();
                Command::Validators { others, includes_this: chance(source, 64) }
            }
            21 if chance(source, 8) => Command::Leave,
            _ => return None,
        })
    }

    /// A node that starts again from what it wrote down, or from what a disk made of it.
    fn restart(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let saved = self.machine.saved();
        let drawn = draw::value(source, &world::KNOWN).ok();
        self.machine.restore(drawn.filter(|_| chance(source, 128)).unwrap_or(saved), now);
    }
}

impl Subject for Knowing {
    type Machine = KnownPeers;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let config = Config {
            peer: world::peer(0),
            target_connections: below(source, 4),
            max_observers: below(source, 4),
            max_connections: 1 + below(source, 8),
            refresh_interval: Duration::from_secs(600),
            max_attempts: 3,
            max_known_peers: TABLE,
            seed: [source.arbitrary().unwrap_or(0); 32],
        };
        Self { machine: KnownPeers::new(config, Time(0)), connected: BTreeSet::new() }
    }

    fn machine(&mut self) -> &mut KnownPeers {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        match below(source, 16) {
            0 => self.restart(source, now),
            1 => {
                let (limit, asker) = (below(source, 5), any_peer(source));
                let chosen = self.machine.choose(limit, &asker);
                assert!(chosen.len() <= limit && chosen.iter().all(|(record, _)| record.peer() != asker));
            }
            2..4 => {
                let peer = any_peer(source);
                self.connected.remove(&peer);
                self.machine.handle(Input::Disconnected(peer), now);
            }
            _ => {
                if let Some(command) = self.command(source, now) {
                    self.machine.handle(Input::Command(command), now);
                }
            }
        }
    }

    fn heed(&mut self, output: Output<KnownPeers>, _: Time) {
        match output {
            Output::Emit(Event::Dial { peer, addresses }) => {
                assert_ne!(peer, self.own(), "dials itself");
                assert!(!addresses.is_empty(), "dials nowhere");
            }
            Output::Emit(Event::Release { peer, .. } | Event::WantPeers { ask: Some(peer) }) => {
                assert!(self.connected.contains(&peer), "{peer:?} is not connected");
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let known = self.machine.table().iter().count();
        assert!(known <= TABLE, "{known} in a table of {TABLE}");
        assert!(self.machine.saved().peers.iter().all(|saved| saved.peer != world::peer(0)), "knows itself");
    }
}
