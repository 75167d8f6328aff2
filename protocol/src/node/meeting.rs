//! Meeting strangers: how admission, known peers and peer exchange are wired to the handshake and to each other.
//!
//! ```text
//! finders ─► known peers ─(dial)─► handshake ─(established)─► admission ─(settled)─► known peers, peer exchange
//!                ▲                                                                                    │
//!                └──────────────────────── records that others signed ────────────────────────────────┘
//! ```
//! A connection is *settled* when no work is due on it any more: with a peer that dialled this node, once it is
//! admitted; with one that this node dialled, once that one says so.

use super::{Clock, Effect, Node, Notice, Protocol};
use crate::{
    admission::{self, Event as AdmissionEvent},
    handshake::{self, Direction, RefusalReason, Role},
    known_peers::{self, Command, Event as KnownEvent, Release, Source},
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    peer_exchange::{self, Event as ExchangeEvent, Told},
    peer_record::PeerRecord,
    time::Time,
};
use conclave_ledger::{bytes::Bytes, chain::Chain, hash::Hash, keys::PublicKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Most remote addresses that are remembered before the handshakes are done.
const MAX_GROUPS: usize = 2048;

/// How the node meets strangers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Zero bits of the work that is asked of observers (default 24).
    pub admission_bits: u8,
    /// See [`known_peers::Config::target_connections`].
    pub target_connections: usize,
    /// See [`known_peers::Config::max_observers`].
    pub max_observers: usize,
    /// See [`known_peers::Config::max_connections`].
    pub max_connections: usize,
    /// See [`known_peers::Config::refresh_interval`].
    pub refresh_interval: Duration,
    /// Failures in a row after which a peer is dropped, and a configured one dialled slowly (default 10).
    pub max_attempts: u32,
    /// See [`known_peers::Config::max_known_peers`].
    pub max_known_peers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admission_bits: 24,
            target_connections: 8,
            max_observers: 64,
            max_connections: 512,
            refresh_interval: Duration::from_secs(600),
            max_attempts: 10,
            max_known_peers: 1024,
        }
    }
}

/// The machines of this module and what joins them.
pub(super) struct Meeting {
    pub(super) admission: admission::Admission,
    pub(super) known: known_peers::KnownPeers,
    pub(super) exchange: peer_exchange::PeerExchange,
    /// Peers whose handshake is done, and whether this node dialled them.
    dialled: BTreeMap<Peer, bool>,
    /// Where connections lead to or come from.
    groups: BTreeMap<Peer, NetworkGroup>,
    /// Addresses of the configuration.
    configured: BTreeSet<String>,
    /// Addresses of this node that its record names.
    own_addresses: Vec<Vec<u8>>,
}

impl Meeting {
    pub(super) fn new(config: &super::Config, chain: &Chain, now: Time) -> Self {
        let seed = |of: &str| Hash::of(of, &[&config.seed]).0;
        let (network, peer, bits) = (chain.network(), config.peer, config.meeting.admission_bits);
        let (expiry, remember) = (Duration::from_secs(60), Duration::from_secs(3600));
        let admission_seed = seed("conclave/seed/admission");
        let exchange_seed = seed("conclave/seed/peers");
        let known = known_peers::Config {
            peer,
            target_connections: config.meeting.target_connections,
            max_observers: config.meeting.max_observers,
            max_connections: config.meeting.max_connections,
            refresh_interval: config.meeting.refresh_interval,
            max_attempts: config.meeting.max_attempts,
            max_known_peers: config.meeting.max_known_peers,
            seed: seed("conclave/seed/known-peers"),
        };
        Self {
            admission: admission::Admission::new(admission::Config {
                network,
                peer,
                bits,
                expiry,
                remember,
                seed: admission_seed,
            }),
            known: known_peers::KnownPeers::new(known, now),
            exchange: peer_exchange::PeerExchange::new(peer_exchange::Config {
                network,
                peer,
                bits,
                seed: exchange_seed,
            }),
            dialled: BTreeMap::new(),
            groups: BTreeMap::new(),
            configured: BTreeSet::new(),
            own_addresses: Vec::new(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.admission.handle_timeout(now);
        self.known.handle_timeout(now);
        self.exchange.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let deadlines =
            [self.admission.poll_timeout(), self.known.poll_timeout(), self.exchange.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }
}

impl Node {
    // --- What comes from the driver --------------------------------------------------------------------------

    pub(super) fn known_command(&mut self, command: Command, clock: Clock) {
        self.meeting.known.handle(Input::Command(command), clock.time);
    }

    /// What the handshake is told and known peers want to know too.
    pub(super) fn overhear(&mut self, command: &handshake::Command, clock: Clock) {
        let configured = |peer: Peer, address: &String| Command::Found {
            peer,
            addresses: vec![address.clone()],
            source: Source::Configured,
            by: None,
        };
        match command {
            handshake::Command::AddAddress { peer, address } => {
                self.meeting.configured.insert(address.clone());
                peer.iter().for_each(|peer| self.known_command(configured(*peer, address), clock));
            }
            handshake::Command::ConnectionEstablished { peer, address: Some(address), .. }
                if self.meeting.configured.contains(address) =>
            {
                self.known_command(configured(*peer, address), clock);
            }
            handshake::Command::Leave => self.known_command(Command::Leave, clock),
            _ => {}
        }
    }

    /// A connection is gone: if nothing is left of what was dialled and no handshake came of it, the dial has failed. So it
    /// is with a peer that has no place for one more and closes without a word.
    pub(super) fn closed_early(&mut self, peer: Peer, clock: Clock) {
        if self.meeting.known.is_dialled(&peer) && !self.handshake.is_connected(&peer) {
            self.known_command(Command::DialFailed { peer }, clock);
        }
    }

    pub(super) fn remote_address(&mut self, peer: Peer, address: &str) {
        let (groups, dialled) = (&mut self.meeting.groups, &self.meeting.dialled);
        if groups.len() >= MAX_GROUPS {
            groups.retain(|peer, _| dialled.contains_key(peer));
        }
        groups.insert(peer, NetworkGroup::of(address));
    }

    /// The addresses at which this node can be reached have changed: it signs a new record.
    pub(super) fn own_addresses(&mut self, addresses: Vec<Vec<u8>>, clock: Clock) {
        if addresses != self.meeting.own_addresses {
            let record = PeerRecord::sign(&self.config.node_key, clock.unix_ms, &addresses);
            self.meeting.own_addresses = addresses;
            self.handshake.handle(Input::Command(handshake::Command::Record(record)), clock.time);
        }
    }

    /// A search has found something. Even tickets are of admission, odd ones of peer exchange.
    pub(super) fn solved(&mut self, ticket: u64, solution: u64, clock: Clock) {
        let (of_exchange, ticket) = (ticket % 2 == 1, ticket / 2);
        if of_exchange {
            let command = peer_exchange::Command::Solved { ticket, solution };
            self.meeting.exchange.handle(Input::Command(command), clock.time);
        } else {
            let command = admission::Command::Solved { ticket, solution };
            self.meeting.admission.handle(Input::Command(command), clock.time);
        }
    }

    // --- What comes from the handshake -----------------------------------------------------------------------

    /// A peer's handshake is done.
    pub(super) fn meet(
        &mut self,
        peer: Peer,
        role: Role,
        direction: Direction,
        record: Option<PeerRecord>,
        clock: Clock,
    ) {
        let (dialled, validator) = (direction == Direction::Dialled, self.member(role));
        let group = self.meeting.groups.get(&peer).copied().unwrap_or(NetworkGroup::Other);
        self.meeting.dialled.insert(peer, dialled);
        self.known_command(Command::Met { peer, validator, dialled, group, record }, clock);
        let exempt = validator.is_some();
        let joined = admission::Command::Joined { peer, group, dialled, exempt };
        self.meeting.admission.handle(Input::Command(joined), clock.time);
        if dialled || exempt {
            // It owes this node no work, and may ask as soon as it has settled its own side, which it says on another
            // stream than that of its question.
            self.may_ask(peer, clock);
        }
    }

    /// The validator key that a role proves, if it is of the current set.
    fn member(&self, role: Role) -> Option<PublicKey> {
        role.validator().filter(|key| self.chain.validators().index_of(key).is_some())
    }

    pub(super) fn part(&mut self, peer: Peer, clock: Clock) {
        self.meeting.dialled.remove(&peer);
        self.meeting.groups.remove(&peer);
        self.meeting.admission.handle(Input::Disconnected(peer), clock.time);
        self.meeting.exchange.handle(Input::Disconnected(peer), clock.time);
        self.meeting.known.handle(Input::Disconnected(peer), clock.time);
    }

    /// Who decides has changed, perhaps.
    pub(super) fn meet_validators(&mut self, clock: Clock) {
        let own = self.validator_key();
        let members = &self.chain.validators().members;
        let keys: BTreeSet<PublicKey> = members.iter().map(|member| member.validator.key).collect();
        let includes_this = own.is_some_and(|own| keys.contains(&own));
        let others = keys.into_iter().filter(|key| Some(*key) != own).collect();
        self.meeting.exchange.set_exempt(includes_this);
        self.known_command(Command::Validators { others, includes_this }, clock);
    }

    pub(super) fn refuse(&mut self, peer: Peer, reason: RefusalReason, clock: Clock) {
        let command = handshake::Command::Refuse { peer, reason };
        self.handshake.handle(Input::Command(command), clock.time);
    }

    // --- What the machines want ------------------------------------------------------------------------------

    pub(super) fn drain_meeting(&mut self, clock: Clock) -> bool {
        let admission = self.drain_admission(clock);
        let exchange = self.drain_exchange(clock);
        let known = self.drain_known(clock);
        admission || exchange || known
    }

    fn drain_admission(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.meeting.admission.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => self.send_exchange(peer, Protocol::Admission, &message),
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.admission_event(event, clock),
            }
        }
        any
    }

    fn admission_event(&mut self, event: AdmissionEvent, clock: Clock) {
        let dialled = |peer: &Peer| self.meeting.dialled.get(peer).copied();
        match event {
            AdmissionEvent::Solve { ticket, puzzle } => {
                self.effects.push_back(Effect::Solve { ticket: 2 * ticket, puzzle });
            }
            AdmissionEvent::Cancel { ticket } => self.effects.push_back(Effect::CancelSolve(2 * ticket)),
            AdmissionEvent::Admitted { peer, outcome } => {
                if dialled(&peer) == Some(false) {
                    self.tell(Notice::Admitted { peer, outcome });
                    self.may_ask(peer, clock);
                    self.settle_admission(peer, clock);
                }
            }
            AdmissionEvent::AdmittedBy { peer } => {
                if dialled(&peer) == Some(true) {
                    self.tell(Notice::AdmittedBy(peer));
                    self.settle_admission(peer, clock);
                }
            }
            AdmissionEvent::Refused { peer, reason } => {
                let of_room = reason == admission::Refusal::Busy;
                self.tell(Notice::NotAdmitted { peer, reason, by_us: true });
                let reason = if of_room { RefusalReason::Full } else { RefusalReason::NotAdmitted };
                self.refuse(peer, reason, clock);
            }
            AdmissionEvent::RefusedBy { peer, reason } => {
                self.tell(Notice::NotAdmitted { peer, reason, by_us: false });
            }
        }
    }

    /// The peer owes this node no work and may ask it for peers.
    fn may_ask(&mut self, peer: Peer, clock: Clock) {
        self.meeting.exchange.handle(Input::Command(peer_exchange::Command::MayAsk { peer }), clock.time);
    }

    /// No work is due any more: the peer is known, and is asked if this node knows too few.
    fn settle_admission(&mut self, peer: Peer, clock: Clock) {
        self.effects.push_back(Effect::OpenAnnouncements(peer));
        self.known_command(Command::Admitted { peer }, clock);
        let has_dialled = self.meeting.dialled.get(&peer) == Some(&true);
        if (has_dialled || self.is_exempt(&peer)) && self.meeting.known.wants_peers() {
            self.ask_peer(peer, clock);
        }
    }

    fn is_exempt(&self, peer: &Peer) -> bool {
        self.peers.get(peer).is_some_and(|role| self.member(*role).is_some())
    }

    fn ask_peer(&mut self, peer: Peer, clock: Clock) {
        let exempt = self.is_exempt(&peer);
        let command = peer_exchange::Command::Ask { peer, exempt };
        self.meeting.exchange.handle(Input::Command(command), clock.time);
    }

    fn drain_exchange(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.meeting.exchange.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => self.send_exchange(peer, Protocol::Peers, &message),
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.exchange_event(event, clock),
            }
        }
        any
    }

    fn exchange_event(&mut self, event: ExchangeEvent, clock: Clock) {
        match event {
            ExchangeEvent::Solve { ticket, puzzle } => {
                self.effects.push_back(Effect::Solve { ticket: 2 * ticket + 1, puzzle });
            }
            ExchangeEvent::Cancel { ticket } => {
                self.effects.push_back(Effect::CancelSolve(2 * ticket + 1));
            }
            ExchangeEvent::Asked { by } => self.known_command(Command::Asks { peer: by }, clock),
            ExchangeEvent::Choose { peer, number, limit, solution } => {
                let chosen = self.meeting.known.choose(usize::from(limit), &peer);
                let told = |(record, validator): (PeerRecord, Option<PublicKey>)| Told {
                    record: Bytes(record.envelope().to_vec()),
                    validator,
                };
                let peers = chosen.into_iter().map(told).collect();
                let command = peer_exchange::Command::Chosen { peer, number, solution, peers };
                self.meeting.exchange.handle(Input::Command(command), clock.time);
                self.known_command(Command::Answered { peer }, clock);
            }
            ExchangeEvent::Learned { by, peers } => {
                self.tell(Notice::PeersTold { by, count: peers.len() });
                for (record, validator) in peers {
                    self.known_command(Command::Told { by, record, validator }, clock);
                }
            }
            ExchangeEvent::Refused { by } => self.tell(Notice::RecordsRefused(by)),
            // It has its reasons; somebody else is asked next time.
            ExchangeEvent::RefusedBy { .. } => {}
        }
    }

    fn drain_known(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.meeting.known.poll_output() {
            any = true;
            match output {
                Output::Send(_, never) => match never {},
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(KnownEvent::Dial { peer, addresses }) => {
                    self.effects.push_back(Effect::DialPeer { peer, addresses });
                }
                Output::Emit(KnownEvent::Release { peer, why }) => {
                    let reason = match why {
                        Release::NotNeeded => RefusalReason::NotNeeded,
                        Release::Full => RefusalReason::Full,
                    };
                    self.refuse(peer, reason, clock);
                }
                Output::Emit(KnownEvent::WantPeers { ask }) => {
                    self.effects.push_back(Effect::AskTrackers);
                    ask.into_iter().for_each(|peer| self.ask_peer(peer, clock));
                }
                Output::Emit(KnownEvent::Save) => {
                    self.effects.push_back(Effect::SavePeers(self.meeting.known.saved()));
                }
            }
        }
        any
    }
}
