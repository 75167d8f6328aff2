//! What the handshake opens for the other machines, and what blame closes.

use super::{Channel, Clock, Config, Effect, Height, Node, Notice, Protocol};
use crate::{
    consensus,
    handshake::{self, Event, RefusalReason, RefusedBy, Role},
    known_peers,
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::{KEPT_OUT_FOR, Penalty},
    sync,
};
use conclave_ledger::{chain::Chain, keys::SecretKey};
use std::time::Duration;

/// The handshake's configuration as it follows from the node's.
pub(super) fn handshake_config(config: &Config, chain: &Chain) -> handshake::Config {
    let observer = || (Role::Observer(config.node_key.public()), config.node_key.clone());
    let validator = |key: SecretKey| (Role::Validator(key.public()), key);
    let (role, key) = config.validator_key.clone().map_or_else(observer, validator);
    handshake::Config {
        network: chain.network(),
        peer: config.peer,
        role,
        key,
        version: config.version.clone(),
        response_timeout: Duration::from_secs(2),
        max_attempts: config.meeting.max_attempts,
        first_retry: Duration::from_millis(100),
        longest_retry: Duration::from_secs(2),
        slow_retry: Duration::from_secs(10),
        unwelcome_retry: Duration::from_secs(60),
        simultaneous_window: Duration::from_secs(2),
        goodbye_timeout: Duration::from_millis(500),
        seed: config.seed,
        rules: config.rules,
    }
}

impl Node {
    pub(super) fn drain_handshake(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.handshake.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => self.send_exchange(peer, Protocol::Handshake, &message),
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.handshake_event(event, clock),
            }
        }
        any
    }

    fn handshake_event(&mut self, event: Event, clock: Clock) {
        match event {
            Event::Dial { address } => self.effects.push_back(Effect::Dial(address)),
            Event::CloseConnection { peer, connection, reason, at_once } => {
                self.effects.push_back(Effect::CloseConnection { peer, connection, reason, at_once });
            }
            Event::Established { peer, role, direction, record, height, version } => {
                self.peers.insert(peer, role);
                self.heights.insert(peer, height);
                self.effects.push_back(Effect::OpenChannels(peer));
                let follows = role.validator().is_none();
                match self.mining {
                    Some(_) => self.mining_input(Input::Connected(peer), clock),
                    None => self.sync_command(sync::Command::Joined { peer, height, follows }, clock),
                }
                // What is sent before the channels are negotiated waits in their queues.
                self.join(peer, role, clock);
                self.dissemination.handle(Input::Connected(peer), clock.time);
                let validator = role.validator();
                self.tell(Notice::PeerConnected { peer, validator, height, version });
                self.meet(peer, role, direction, record, clock);
            }
            Event::Lost { peer } => self.lost(peer, clock),
            Event::Refused { peer, reason, by } => {
                let by_us = by == RefusedBy::Us;
                let for_want_of_room = matches!(reason, RefusalReason::Full | RefusalReason::NotNeeded);
                self.known_command(known_peers::Command::Refused { peer, for_want_of_room }, clock);
                if reason != RefusalReason::NotNeeded {
                    self.tell(Notice::PeerRefused { peer, reason, by_us });
                }
            }
            Event::GaveUp { address } => self.tell(Notice::AddressSilent(address)),
            Event::Left => self.tell(Notice::Left),
        }
    }

    fn lost(&mut self, peer: Peer, clock: Clock) {
        if self.peers.remove(&peer).is_some() {
            self.heights.remove(&peer);
            self.effects.push_back(Effect::CloseChannels(peer));
            self.part(peer, clock);
            self.sync.handle(Input::Disconnected(peer), clock.time);
            self.mining_input(Input::Disconnected(peer), clock);
            self.channel_closed(peer, Channel::Consensus, clock);
            self.channel_closed(peer, Channel::Transactions, clock);
            self.opened.retain(|(open, _)| *open != peer);
            self.tell(Notice::PeerLost(peer));
        }
    }

    /// A peer has shown that it has decided `height`; what it said before may arrive later.
    pub(super) fn spoke_of(&mut self, peer: Peer, height: Height) {
        if let Some(known) = self.heights.get_mut(&peer) {
            *known = height.max(*known);
        }
    }

    fn join(&mut self, peer: Peer, role: Role, clock: Clock) {
        if let Some(key) = role.validator() {
            self.consensus_command(consensus::Command::Joined { peer, key }, clock);
            self.resume_if_absent(clock);
        }
    }

    /// A channel that opens again has lost what was queued for the connection before: it is sent anew.
    pub(super) fn channel_opened(&mut self, peer: Peer, channel: Channel, clock: Clock) {
        let Some(role) = self.peers.get(&peer).copied() else { return };
        if self.opened.insert((peer, channel)) {
            return;
        }
        match channel {
            // What was announced meanwhile is lost: it is asked for.
            Channel::Consensus if self.mining.is_some() => self.mining_input(Input::Connected(peer), clock),
            Channel::Consensus => self.join(peer, role, clock),
            Channel::Transactions => self.dissemination.handle(Input::Connected(peer), clock.time),
        }
    }

    pub(super) fn channel_closed(&mut self, peer: Peer, channel: Channel, clock: Clock) {
        match channel {
            Channel::Consensus => {
                if let Some(consensus) = &mut self.consensus {
                    consensus.handle(Input::Disconnected(peer), clock.time);
                }
            }
            Channel::Transactions => self.dissemination.handle(Input::Disconnected(peer), clock.time),
        }
    }

    /// A peer that opens a channel before its handshake is done, unless it may know already that it is.
    pub(super) fn channel_early(&mut self, peer: Peer, channel: Channel, clock: Clock) {
        if !self.peers.contains_key(&peer) && !self.handshake.is_nearly_done(&peer) {
            self.effects.push_back(Effect::CloseChannels(peer));
            // Slight: an honest peer does so when the connection of its handshake breaks under it.
            let reason = format!("it opened the {channel:?} channel before its handshake was done");
            self.penalize(peer, Penalty::slight(reason), clock);
        }
    }

    /// Lowers a peer's score; one that has done enough is disconnected and kept out for a while.
    pub(super) fn penalize(&mut self, peer: Peer, penalty: Penalty, clock: Clock) {
        let Penalty { severity, ref reason } = penalty;
        self.tell(Notice::PeerPenalized { peer, severity, reason: reason.clone() });
        if self.scores.penalize(peer, penalty.severity, clock.time) {
            let until = clock.time + KEPT_OUT_FOR;
            let command = handshake::Command::KeepOut { peer, until };
            self.handshake.handle(Input::Command(command), clock.time);
            self.meeting.admission.forget(&peer);
            self.known_command(known_peers::Command::KeptOut { peer, until }, clock);
        }
    }
}
