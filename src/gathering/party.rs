//! The loop around the machine: the swarm, the clock and the signals on one side, messages on the other.

use super::{Disagreement, GatherConfig, GatherError, Gathered, Progress, trackers::TrackerSide};
use crate::keys;
use conclave_behaviours::{
    exchange,
    gathering::{GatheringBehaviour, GatheringBehaviourEvent, build_gathering},
};
use conclave_protocol::{
    gather::{Command, Event, Failure, MAX_MESSAGE_BYTES, Message, Seat},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    request_response::{self, OutboundRequestId},
    swarm::{SwarmEvent, dial_opts::DialOpts},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// How often the trackers are asked, and those who should be connected and are not are dialled.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long the last messages have to get there once all is over.
const FLUSH: Duration = Duration::from_secs(2);

/// A gathering party.
pub(super) struct Party<M> {
    machine: M,
    swarm: Swarm<GatheringBehaviour>,
    trackers: TrackerSide,
    start: Instant,
    roster: Vec<Seat>,
    names: BTreeMap<Peer, String>,
    /// Messages that are not acknowledged yet.
    under_way: BTreeSet<OutboundRequestId>,
    /// Who is connected and did not get a message.
    to_tell_again: BTreeSet<PeerId>,
    end: Option<Result<Gathered, Failure>>,
}

impl<M> Party<M>
where
    M: Machine<Message = Message, Command = Command, Event = Event>,
{
    pub(super) fn new(config: GatherConfig, run: u64, machine: M) -> Result<Self, GatherError> {
        let identity = keys::node_identity(&config.node_key);
        let agent = concat!("conclave/", env!("CARGO_PKG_VERSION")).to_owned();
        let mut swarm = build_gathering(identity.clone(), agent, MAX_MESSAGE_BYTES as u64)?;
        for address in &config.listen {
            swarm.listen_on(address.clone()).map_err(|error| GatherError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(Self {
            machine,
            swarm,
            trackers: TrackerSide::new(&config.trackers, &config.terms.name, identity, run),
            start: Instant::now(),
            roster: Vec::new(),
            names: BTreeMap::new(),
            under_way: BTreeSet::new(),
            to_tell_again: BTreeSet::new(),
            end: None,
        })
    }

    pub(super) async fn run(mut self, mut progress: impl FnMut(Progress)) -> Result<Gathered, GatherError> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(GatherError::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(GatherError::Signals)?;
        let mut ask = tokio::time::interval(ASK_EVERY);
        let mut interrupted = false;
        while self.end.is_none() && !interrupted {
            let deadline = self.machine.poll_timeout().map(|Time(micros)| Duration::from_micros(micros));
            let deadline = self.start + deadline.unwrap_or(Duration::from_secs(3600));
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle(event),
                _ = ask.tick() => self.again(),
                () = tokio::time::sleep_until(deadline.into()) => {
                    let now = self.now();
                    self.machine.handle_timeout(now);
                }
                _ = interrupt.recv() => interrupted = true,
                _ = terminate.recv() => interrupted = true,
            }
            self.carry_out(&mut progress);
            self.trackers.act(&mut self.swarm);
        }
        self.trackers.leave();
        self.flush().await;
        match self.end {
            None => Err(GatherError::Interrupted),
            Some(Ok(gathered)) => Ok(gathered),
            Some(Err(failure)) => {
                let trackers = self.trackers.errors();
                Err(GatherError::Failed(Box::new(Disagreement { failure, names: self.names, trackers })))
            }
        }
    }

    fn now(&self) -> Time {
        Time::after_start(self.start.elapsed())
    }

    fn input(&mut self, input: Input<M>) {
        let now = self.now();
        self.machine.handle(input, now);
    }

    /// What has to be done again and again.
    fn again(&mut self) {
        self.trackers.ask();
        for id in std::mem::take(&mut self.to_tell_again) {
            if let Some(peer) = peer_of(&id).filter(|_| self.swarm.is_connected(&id)) {
                self.input(Input::Disconnected(peer));
                self.input(Input::Connected(peer));
            }
        }
        self.connect();
    }

    /// Dials those of the roster who are not connected.
    fn connect(&mut self) {
        for id in self.roster.iter().filter_map(|seat| id_of(&seat.peer)).collect::<Vec<_>>() {
            let addresses = self.trackers.addresses_of(&id);
            if id != *self.swarm.local_peer_id() && !self.swarm.is_connected(&id) && !addresses.is_empty() {
                // Refused only if it is being dialled already.
                let _ = self.swarm.dial(DialOpts::peer_id(id).addresses(addresses).build());
            }
        }
    }

    fn handle(&mut self, event: SwarmEvent<GatheringBehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, num_established, .. } => {
                self.trackers.established(peer_id, connection_id);
                if let Some(peer) = peer_of(&peer_id).filter(|_| num_established.get() == 1) {
                    self.input(Input::Connected(peer));
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.trackers.closed(&peer_id);
                if let Some(peer) = peer_of(&peer_id) {
                    self.input(Input::Disconnected(peer));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "a dial failed");
                self.trackers.dial_failed(connection_id, &error.to_string());
            }
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            SwarmEvent::Behaviour(GatheringBehaviourEvent::Rendezvous(event)) => {
                if let Some(listed) = self.trackers.event(event) {
                    self.input(Input::Command(Command::Registered(listed)));
                }
            }
            SwarmEvent::Behaviour(GatheringBehaviourEvent::Rounds(event)) => self.rounds(event),
            _ => {}
        }
    }

    fn rounds(&mut self, event: exchange::Event) {
        use request_response::{Event, Message as Exchanged};
        match event {
            Event::Message { peer, message: Exchanged::Request { request, channel, .. }, .. } => {
                // The peer may have gone meanwhile.
                let _ = self.swarm.behaviour_mut().rounds.send_response(channel, Vec::new());
                self.receive(peer, &request);
            }
            Event::Message { message: Exchanged::Response { request_id, .. }, .. } => {
                self.under_way.remove(&request_id);
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a message did not get there");
                self.under_way.remove(&request_id);
                self.to_tell_again.insert(peer);
            }
            _ => {}
        }
    }

    fn receive(&mut self, id: PeerId, bytes: &[u8]) {
        let Some(peer) = peer_of(&id) else { return };
        let Some(message) = Message::decode(bytes) else {
            tracing::warn!(peer = %id, "what it sends is no message of a gathering");
            // It may be gone already.
            let _ = self.swarm.disconnect_peer_id(id);
            return;
        };
        if let Message::Card { card, .. } = &message
            && card.card.seat.peer == peer
            && conclave_ledger::genesis::valid_name(&card.card.validator.name)
        {
            self.names.insert(peer, card.card.validator.name.clone());
        }
        self.input(Input::Received(peer, message));
    }

    fn carry_out(&mut self, progress: &mut impl FnMut(Progress)) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(peer, message) => {
                    if let Some(id) = id_of(&peer) {
                        let request = self.swarm.behaviour_mut().rounds.send_request(&id, message.encode());
                        self.under_way.insert(request);
                    }
                }
                Output::Penalize(peer, penalty) => {
                    tracing::warn!(peer = ?id_of(&peer), reason = penalty.reason, "a peer is blamed");
                }
                Output::Emit(Event::Waiting { registered }) => progress(Progress::Registered(registered)),
                Output::Emit(Event::Roster(seats)) => {
                    progress(Progress::Complete);
                    self.roster = seats;
                    self.connect();
                }
                Output::Emit(Event::LetGo) => {
                    progress(Progress::Signing);
                    self.trackers.leave();
                }
                Output::Emit(Event::Gathered(gathered)) => {
                    let addresses = self.addresses_of_others();
                    self.end = Some(Ok(Gathered { genesis: gathered.genesis, addresses }));
                }
                Output::Emit(Event::Failed(failure)) => self.end = Some(Err(failure)),
            }
        }
    }

    fn addresses_of_others(&self) -> Vec<Multiaddr> {
        let me = *self.swarm.local_peer_id();
        let others = self.roster.iter().filter_map(|seat| id_of(&seat.peer)).filter(|id| *id != me);
        let with_id = |id: PeerId| {
            let addresses = self.trackers.addresses_of(&id);
            addresses.into_iter().filter_map(move |address| address.with_p2p(id).ok())
        };
        others.flat_map(with_id).collect()
    }

    /// Waits, for a bounded time, until the others and the trackers have what they were told last.
    async fn flush(&mut self) {
        let until = Instant::now() + FLUSH;
        while !self.under_way.is_empty() || !self.trackers.has_left() {
            self.trackers.act(&mut self.swarm);
            match tokio::time::timeout_at(until.into(), self.swarm.select_next_some()).await {
                Ok(event) => self.handle(event),
                Err(_) => break,
            }
        }
    }
}

fn peer_of(id: &PeerId) -> Option<Peer> {
    Peer::from_bytes(&id.to_bytes()).ok()
}

fn id_of(peer: &Peer) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}
