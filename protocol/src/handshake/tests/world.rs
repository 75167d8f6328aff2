//! A network of handshake machines on virtual time: connections with delays, and requests that travel over any one
//! connection to the peer, as libp2p's request-response sends them.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// How long a connection stays open that is not closed at once.
const LINGER: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum Happening {
    Command(Command),
    /// Over a connection.
    Received(u64, Peer, Message),
    Timeout,
    Close {
        connection: u64,
    },
}

struct Connection {
    ends: [u8; 2],
    /// Which ends still have it.
    open: [bool; 2],
    /// Which ends know of it yet.
    known: [bool; 2],
    delay: Duration,
}

struct Asked {
    asker: u8,
    number: u64,
    connection: u64,
}

/// The network.
pub(super) struct World {
    pub(super) nodes: BTreeMap<u8, Handshake>,
    pub(super) now: Time,
    /// Everything that machines told, with its time.
    pub(super) told: Vec<(Time, u8, Event)>,
    pub(super) blamed: Vec<(u8, Peer, Penalty)>,
    connections: BTreeMap<u64, Connection>,
    asked: BTreeMap<u64, Asked>,
    agenda: BTreeMap<(Time, u64), (u8, Happening)>,
    next: u64,
    random: ChaCha20Rng,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            nodes: BTreeMap::new(),
            now: Time(0),
            told: Vec::new(),
            blamed: Vec::new(),
            connections: BTreeMap::new(),
            asked: BTreeMap::new(),
            agenda: BTreeMap::new(),
            next: 0,
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn add(&mut self, number: u8, config: Config) {
        self.nodes.insert(number, Handshake::new(config));
    }

    pub(super) fn command(&mut self, node: u8, command: Command) {
        self.plan(self.now, node, Happening::Command(command));
    }

    /// `node` is to be connected to `to`.
    pub(super) fn introduce(&mut self, node: u8, to: u8) {
        self.command(node, Command::AddAddress { peer: Some(peer(to)), address: to.to_string() });
    }

    /// The node dies and comes back empty; nobody else notices.
    pub(super) fn restart(&mut self, node: u8, config: Config) {
        self.agenda.retain(|_, (whose, _)| *whose != node);
        for connection in self.connections.values_mut() {
            for end in 0..2 {
                connection.open[end] &= connection.ends[end] != node;
            }
        }
        self.nodes.insert(node, Handshake::new(config));
    }

    /// Connections that both ends have.
    pub(super) fn whole_connections(&self) -> usize {
        self.connections.values().filter(|connection| connection.open == [true, true]).count()
    }

    /// How often `node` was told that `other` takes part, less how often that it does no more.
    pub(super) fn taking_part(&self, node: u8, other: u8) -> i32 {
        let of_node = self.told.iter().filter(|(_, teller, _)| *teller == node);
        of_node
            .map(|(_, _, event)| match event {
                Event::Established { peer: whose, .. } if *whose == peer(other) => 1,
                Event::Lost { peer: whose } if *whose == peer(other) => -1,
                _ => 0,
            })
            .sum()
    }

    /// Lets everything happen that is due up to `end`.
    pub(super) fn run_until(&mut self, end: Time) {
        let mut steps = 0;
        loop {
            let planned = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timeout =
                self.nodes.iter().filter_map(|(node, machine)| Some((machine.poll_timeout()?, *node))).min();
            let due = match (planned, timeout) {
                (Some(planned), Some((at, node))) if at < planned => (at, Some(node)),
                (Some(planned), _) => (planned, None),
                (None, Some((at, node))) => (at, Some(node)),
                (None, None) => break,
            };
            if due.0 > end {
                break;
            }
            steps += 1;
            assert!(steps < 100_000, "the network never comes to rest");
            self.now = self.now.max(due.0);
            let (node, happening) = match due.1 {
                Some(node) => (node, Happening::Timeout),
                None => self.agenda.pop_first().unwrap().1,
            };
            self.happen(node, happening);
        }
        self.now = end;
    }

    fn plan(&mut self, at: Time, node: u8, happening: Happening) {
        self.next += 1;
        self.agenda.insert((at, self.next), (node, happening));
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(500 + u64::from(self.random.next_u32() % 40_000))
    }

    fn happen(&mut self, node: u8, happening: Happening) {
        let now = self.now;
        let Some(machine) = self.nodes.get_mut(&node) else { return };
        match happening {
            Happening::Command(command) => {
                if let Command::ConnectionEstablished { connection, .. } = &command {
                    let connection = self.connections.get_mut(connection).unwrap();
                    let end = usize::from(connection.ends[0] != node);
                    if !connection.open[end] {
                        return;
                    }
                    connection.known[end] = true;
                }
                machine.handle(Input::Command(command), now);
            }
            Happening::Received(connection, from, message) => {
                let connection = &self.connections[&connection];
                if !connection.open[usize::from(connection.ends[0] != node)] {
                    return;
                }
                let message = match message {
                    // The asker's own number comes back with the response.
                    Message::Response { number, response } => match self.asked.remove(&number) {
                        Some(asked) => Message::Response { number: asked.number, response },
                        None => return,
                    },
                    request => request,
                };
                machine.handle(Input::Received(from, message), now);
            }
            Happening::Timeout => machine.handle_timeout(now),
            Happening::Close { connection } => return self.close(node, connection),
        }
        let wanted = drain(machine);
        self.blamed.extend(wanted.blamed.into_iter().map(|(whom, penalty)| (node, whom, penalty)));
        for event in &wanted.events {
            match event {
                Event::Dial { address } => self.dial(node, address),
                Event::CloseConnection { connection, at_once, .. } => {
                    let pause = if *at_once { Duration::ZERO } else { LINGER };
                    self.plan(now + pause, node, Happening::Close { connection: *connection });
                }
                _ => {}
            }
        }
        self.told.extend(wanted.events.into_iter().map(|event| (now, node, event)));
        for (to, message) in wanted.sent {
            self.send(node, to, message);
        }
    }

    fn dial(&mut self, node: u8, address: &str) {
        let delay = self.delay();
        let Ok(other) = address.parse::<u8>() else { return };
        if !self.nodes.contains_key(&other) {
            let failed = Command::DialFailed { address: address.to_owned() };
            return self.plan(self.now + delay, node, Happening::Command(failed));
        }
        self.next += 1;
        let connection = self.next;
        self.connections.insert(
            connection,
            Connection { ends: [node, other], open: [true, true], known: [false; 2], delay },
        );
        let established = |peer, direction, address| {
            Happening::Command(Command::ConnectionEstablished { peer, connection, direction, address })
        };
        let address = Some(address.to_owned());
        self.plan(self.now + delay, node, established(peer(other), Direction::Dialled, address));
        // The accepting end learns of it earlier or later than the other, by up to half a delay.
        let share = 0.75 + f64::from(self.random.next_u32() % 100) / 200.0;
        self.plan(self.now + delay.mul_f64(share), other, established(peer(node), Direction::Accepted, None));
    }

    fn close(&mut self, node: u8, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let end = usize::from(connection.ends[0] != node);
        if !std::mem::replace(&mut connection.open[end], false) {
            return;
        }
        let (other, delay) = (connection.ends[1 - end], connection.delay);
        let closed = Command::ConnectionClosed { peer: peer(other), connection: number };
        let failed: Vec<u64> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.asker == node && asked.connection == number)
            .map(|(number, _)| *number)
            .collect();
        for number in failed {
            let asked = self.asked.remove(&number).unwrap();
            let failed = Command::RequestFailed { peer: peer(other), number: asked.number };
            self.plan(self.now, node, Happening::Command(failed));
        }
        self.plan(self.now, node, Happening::Command(closed));
        self.plan(self.now + delay, other, Happening::Close { connection: number });
    }

    fn send(&mut self, node: u8, to: Peer, message: Message) {
        let Some(other) = (0..=255).find(|number| self.nodes.contains_key(number) && peer(*number) == to)
        else {
            return;
        };
        match message {
            Message::Request { number, request } => {
                let usable: Vec<u64> = self
                    .connections
                    .iter()
                    .filter(|(_, connection)| {
                        let end = usize::from(connection.ends[0] != node);
                        let is_usable = connection.known[end] && connection.open[end];
                        connection.ends[end] == node && connection.ends[1 - end] == other && is_usable
                    })
                    .map(|(number, _)| *number)
                    .collect();
                if usable.is_empty() {
                    let failed = Command::RequestFailed { peer: to, number };
                    return self.plan(self.now, node, Happening::Command(failed));
                }
                let connection = usable[self.random.next_u32() as usize % usable.len()];
                self.next += 1;
                let inbound = self.next;
                self.asked.insert(inbound, Asked { asker: node, number, connection });
                self.travel(node, other, connection, Message::Request { number: inbound, request });
            }
            Message::Response { number, response } => {
                if let Some(connection) = self.asked.get(&number).map(|asked| asked.connection) {
                    self.travel(node, other, connection, Message::Response { number, response });
                }
            }
        }
    }

    fn travel(&mut self, from: u8, to: u8, connection: u64, message: Message) {
        let delay = self.connections[&connection].delay;
        if self.connections[&connection].open == [true, true] {
            self.plan(self.now + delay, to, Happening::Received(connection, peer(from), message));
        }
    }
}
