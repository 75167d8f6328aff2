//! Modules and gossip: envelopes of every kind, and answers in any order.

use super::admission::any_peer;
use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{bytes::Bytes, hash::Hash};
use conclave_protocol::{
    announcements::{Announcement, Announcements, Command, Config, Event, Message, MessageId, ModuleId},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};
use std::collections::{BTreeMap, BTreeSet};

const TYPES: usize = 3;

pub(super) struct Announcing {
    machine: Announcements,
    /// First copies without a verdict.
    open: BTreeMap<MessageId, usize>,
    notified: BTreeSet<(ModuleId, u16)>,
    subscribed: BTreeSet<u16>,
    modules: u64,
}

fn any_data(source: &mut Unstructured<'_>) -> Vec<u8> {
    let length = if chance(source, 4) { 70_000 } else { below(source, 3) };
    vec![below(source, 3) as u8; length]
}

impl Announcing {
    fn any_module(&self, source: &mut Unstructured<'_>) -> ModuleId {
        ModuleId(self.modules + below(source, 4) as u64)
    }

    fn message(&mut self, source: &mut Unstructured<'_>) -> Message {
        if chance(source, 48) {
            return Message::Copy { id: Hash([below(source, 4) as u8; 32]), bytes: below(source, 70_000) };
        }
        let data_type = below(source, TYPES) as u16;
        let named = if chance(source, 16) { data_type ^ 1 } else { data_type };
        let ttl = if chance(source, 128) { 0 } else { below(source, 4) as u8 };
        let bytes = match chance(source, 16) {
            true => vec![0xa3; below(source, 40)],
            false => Announcement { ttl, data_type: named, data: Bytes(any_data(source)) }.encode(),
        };
        let id = Hash::of("fuzz/message", &[&bytes]);
        *self.open.entry(id).or_default() += 1;
        let per_origin = (ttl != 0) ^ chance(source, 8);
        Message::First { id, origin: any_peer(source), data_type, per_origin, bytes }
    }

    fn command(&mut self, source: &mut Unstructured<'_>, now: Time) -> Command {
        let module = self.any_module(source);
        match below(source, 8) {
            0 => {
                // A number is never used twice: with this module, all before it are gone.
                self.modules = module.0 + 1;
                self.notified.retain(|(of, _)| of.0 > module.0);
                for gone in module.0.saturating_sub(4)..module.0 {
                    self.machine.handle(Input::Command(Command::Left(ModuleId(gone))), now);
                }
                Command::Left(module)
            }
            1..3 => Command::Notify { module, data_type: below(source, TYPES) as u16 },
            3..5 => {
                let (ttl, data_type) = (below(source, 4) as u8, below(source, TYPES) as u16);
                Command::Announce { module, ttl, data_type, data: any_data(source) }
            }
            _ => {
                let open: Vec<(ModuleId, u16)> = self.notified.iter().copied().collect();
                let known = draw::one_of(source, &open).copied().filter(|_| !chance(source, 16));
                let (module, notification) = known.unwrap_or((module, 9));
                self.notified.remove(&(module, notification));
                Command::Validate { module, notification, valid: !chance(source, 48) }
            }
        }
    }
}

impl Subject for Announcing {
    type Machine = Announcements;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let mut config = Config { cache_size: 1 + below(source, 4), ..Config::default() };
        if chance(source, 64) {
            config.origin.per_second = 1;
            config.origin.capacity = 3000;
            config.peer = config.origin;
        }
        Self {
            machine: Announcements::new(config),
            open: BTreeMap::new(),
            notified: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            modules: 1,
        }
    }

    fn machine(&mut self) -> &mut Announcements {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let input = match below(source, 8) {
            0 if chance(source, 64) => Input::Disconnected(any_peer(source)),
            0..4 => {
                let peer = any_peer(source);
                Input::Received(peer, self.message(source))
            }
            _ => Input::Command(self.command(source, now)),
        };
        self.machine.handle(input, now);
    }

    fn heed(&mut self, output: Output<Announcements>, _: Time) {
        let Output::Emit(event) = output else { return };
        match event {
            Event::Verdict { id, .. } => {
                let open = self.open.get_mut(&id).filter(|open| **open > 0);
                let open = open.unwrap_or_else(|| panic!("{id} has its verdict already"));
                *open -= 1;
            }
            Event::Notify { module, notification, .. } => {
                assert!(self.notified.insert((module, notification)), "{notification} is in use");
            }
            Event::Close { module, .. } => self.notified.retain(|(of, _)| *of != module),
            Event::Subscribe(data_type) => assert!(self.subscribed.insert(data_type)),
            Event::Unsubscribe(data_type) => assert!(self.subscribed.remove(&data_type)),
            Event::Publish { .. } | Event::Outcome(_) => {}
        }
    }
}
