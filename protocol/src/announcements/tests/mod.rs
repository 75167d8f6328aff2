//! Announcements: what modules are told and what goes on, rule by rule; what a liar gets out of it; the laws of machines.

mod laws;
mod rates;
mod rules;

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Severity,
    time::Time,
};
use conclave_ledger::{bytes::Bytes, hash::Hash};
use std::time::Duration;

const TYPE: DataType = 1337;

fn peer(number: u8) -> Peer {
    Peer::from_bytes(&[number]).unwrap()
}

fn at(ms: u64) -> Time {
    Time::after_start(Duration::from_millis(ms))
}

/// What gossipsub knows an envelope by.
fn id_of(bytes: &[u8]) -> MessageId {
    Hash::of("test", &[bytes])
}

#[derive(Debug, Default, PartialEq)]
struct Wanted {
    events: Vec<Event>,
    blamed: Vec<(Peer, Severity)>,
}

impl Wanted {
    fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |event: &Event| match event {
            Event::Verdict { verdict, .. } => Some(*verdict),
            _ => None,
        };
        self.events.iter().filter_map(verdict).collect()
    }

    /// Modules notified, with the number of the notification.
    fn notified(&self) -> Vec<(u64, u16)> {
        let notified = |event: &Event| match event {
            Event::Notify { module, notification, .. } => Some((module.0, *notification)),
            _ => None,
        };
        self.events.iter().filter_map(notified).collect()
    }

    /// TTLs of what is published.
    fn published(&self) -> Vec<u8> {
        let ttl = |event: &Event| match event {
            Event::Publish { bytes, .. } => Some(Announcement::decode(bytes).unwrap().ttl),
            _ => None,
        };
        self.events.iter().filter_map(ttl).collect()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |event: &Event| match event {
            Event::Outcome(outcome) => Some(*outcome),
            _ => None,
        };
        self.events.iter().filter_map(outcome).collect()
    }

    fn closed(&self) -> Vec<(u64, CloseReason)> {
        let closed = |event: &Event| match event {
            Event::Close { module, reason } => Some((module.0, *reason)),
            _ => None,
        };
        self.events.iter().filter_map(closed).collect()
    }
}

struct World {
    machine: Announcements,
    now: u64,
}

impl World {
    fn new(config: Config) -> Self {
        Self { machine: Announcements::new(config), now: 0 }
    }

    /// A node whose modules 1 to `modules` subscribe to [`TYPE`].
    fn with_modules(modules: u64) -> Self {
        let mut world = Self::new(Config::default());
        (1..=modules).for_each(|module| drop(world.subscribe(module)));
        world
    }

    fn drain(&mut self) -> Wanted {
        let mut wanted = Wanted::default();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(..) => panic!("gossipsub sends, not the machine"),
                Output::Penalize(peer, penalty) => wanted.blamed.push((peer, penalty.severity)),
                Output::Emit(event) => wanted.events.push(event),
            }
        }
        wanted
    }

    fn command(&mut self, command: Command) -> Wanted {
        self.machine.handle(Input::Command(command), at(self.now));
        self.drain()
    }

    fn subscribe(&mut self, module: u64) -> Wanted {
        self.command(Command::Notify { module: ModuleId(module), data_type: TYPE })
    }

    fn announce(&mut self, module: u64, ttl: u8, data: &[u8]) -> Wanted {
        let module = ModuleId(module);
        self.command(Command::Announce { module, ttl, data_type: TYPE, data: data.to_vec() })
    }

    fn answer(&mut self, module: u64, notification: u16, valid: bool) -> Wanted {
        self.command(Command::Validate { module: ModuleId(module), notification, valid })
    }

    /// The first copy of a message, published by `origin` and brought by `from`.
    fn first(&mut self, from: u8, origin: u8, bytes: Vec<u8>) -> Wanted {
        let per_origin = Announcement::decode(&bytes).is_ok_and(|read| read.ttl != 0);
        let (id, origin) = (id_of(&bytes), peer(origin));
        let message = Message::First { id, origin, data_type: TYPE, per_origin, bytes };
        self.machine.handle(Input::Received(peer(from), message), at(self.now));
        self.drain()
    }

    /// An announcement that its origin, peer 9, has published and peer 1 brings, if its TTL allows that.
    fn receive(&mut self, ttl: u8, data: &[u8]) -> Wanted {
        self.first(1, if ttl == 0 { 9 } else { 1 }, envelope(ttl, data))
    }

    fn pass(&mut self, ms: u64) -> Wanted {
        self.now += ms;
        self.machine.handle_timeout(at(self.now));
        self.drain()
    }
}

fn envelope(ttl: u8, data: &[u8]) -> Vec<u8> {
    Announcement { ttl, data_type: TYPE, data: Bytes(data.to_vec()) }.encode()
}
