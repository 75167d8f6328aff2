//! Which connection to a peer is kept, and what that means to the handshake that is under way.

use super::{
    event::{Direction, Event, RefusedBy},
    machine::{Handshake, MAX_PEERS},
    message::{RefusalReason, Request},
    state::{Connection, Leaving, State, Step},
};
use crate::{peer::Peer, time::Time};

impl Handshake {
    pub(super) fn connection_established(
        &mut self,
        peer: Peer,
        number: u64,
        direction: Direction,
        address: Option<&str>,
        now: Time,
    ) {
        self.dialling.connected(peer, address);
        let is_kept_out = self.is_kept_out(&peer, now);
        let is_full = self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer);
        if is_kept_out || is_full || self.leaving != Leaving::No || peer == self.config.peer {
            let reason =
                if is_kept_out { RefusalReason::KeptOut.to_string() } else { "no room for it".to_owned() };
            if is_kept_out {
                self.emit(Event::Refused { peer, reason: RefusalReason::KeptOut, by: RefusedBy::Us });
            }
            return self.emit(Event::CloseConnection { peer, connection: number, reason, at_once: false });
        }
        let connection = Connection { number, direction, since: now };
        let Some(state) = self.peers.get_mut(&peer) else {
            let challenge = self.challenge();
            self.peers.insert(peer, State::new(connection, challenge));
            return self.begin(peer, direction, now);
        };
        let current = state.latest;
        let is_gone = state.connections.is_empty();
        let at_once = !state.is_over
            && current.direction != direction
            && now.since(current.since) < self.config.simultaneous_window;
        if !at_once {
            state.connections.insert(0, connection);
            state.latest = connection;
            if !is_gone {
                let reason = "the peer has opened a newer connection".to_owned();
                self.emit(Event::CloseConnection { peer, connection: current.number, reason, at_once: true });
            }
            self.restart(peer, now);
            return self.begin(peer, direction, now);
        }
        // The handshake is between two peers and goes on over the connection that is kept.
        if is_gone {
            state.connections.push(connection);
            state.latest = connection;
            return self.resume(peer, direction, now);
        }
        self.keep_one(peer, connection, now);
    }

    /// Of two connections that were dialled at once one is kept.
    fn keep_one(&mut self, peer: Peer, connection: Connection, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let current = state.latest;
        let keeps_current = (current.direction == Direction::Dialled) == (self.config.peer < peer);
        state.connections.insert(usize::from(keeps_current), connection);
        state.latest = state.connections[0];
        let is_untouched = state.step == Step::AwaitHello;
        let (kept, closed) = if keeps_current { (current, connection) } else { (connection, current) };
        let reason = "both nodes dialled at once: the connection that the smaller identifier dialled is kept";
        let reason = reason.to_owned();
        self.emit(Event::CloseConnection { peer, connection: closed.number, reason, at_once: true });
        if is_untouched && kept.direction == Direction::Dialled {
            self.begin(peer, Direction::Dialled, now);
        }
    }

    /// Goes on where the handshake was when the other of two connections dialled at once was closed.
    fn resume(&mut self, peer: Peer, direction: Direction, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let is_unsent = std::mem::take(&mut state.is_unsent);
        match state.step.clone() {
            Step::Established(hello) => self.establish(peer, hello, now),
            Step::AwaitHello if direction == Direction::Dialled => self.begin(peer, direction, now),
            _ if is_unsent => self.send_again(peer),
            _ => {}
        }
    }

    /// Begins the handshake on a connection: its dialer speaks first.
    fn begin(&mut self, peer: Peer, direction: Direction, now: Time) {
        let Some(challenge) = self.peers.get(&peer).map(|state| state.challenge) else { return };
        let step = match direction {
            Direction::Dialled => {
                let hello = self.hello(challenge);
                Step::SentHello(self.request(peer, Request::Hello(hello)))
            }
            Direction::Accepted => Step::AwaitHello,
        };
        self.advance(peer, step, now);
    }

    pub(super) fn advance(&mut self, peer: Peer, step: Step, now: Time) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.deadline =
                (!matches!(step, Step::Established(_))).then_some(now + self.config.response_timeout);
            state.step = step;
        }
    }

    /// Forgets what was proved, with a fresh challenge.
    pub(super) fn restart(&mut self, peer: Peer, now: Time) {
        let challenge = self.challenge();
        let Some(state) = self.peers.get_mut(&peer) else { return };
        // Without a connection the loss was told already.
        let was_established = state.role.is_some();
        (state.is_over, state.is_unsupported, state.is_unsent) = (false, false, false);
        (state.challenge, state.theirs, state.resent, state.role) = (challenge, None, 0, None);
        self.advance(peer, Step::AwaitHello, now);
        if was_established {
            self.emit(Event::Lost { peer });
        }
    }

    pub(super) fn connection_closed(&mut self, peer: Peer, number: u64, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else {
            // Closed at once by this node: the pauses between dials go on.
            return self.dialling.lost(&self.config, &peer, now, &mut self.random);
        };
        let was_current = state.connections.first().is_some_and(|connection| connection.number == number);
        state.connections.retain(|connection| connection.number != number);
        let Some(next) = state.connections.first().copied() else {
            let was_established = state.role.take().is_some();
            let is_young = now.since(state.latest.since) < self.config.simultaneous_window;
            if !is_young || state.is_over {
                self.peers.remove(&peer);
            }
            self.dialling.lost(&self.config, &peer, now, &mut self.random);
            if was_established {
                self.emit(Event::Lost { peer });
            }
            return;
        };
        if was_current {
            state.latest = next;
            self.restart(peer, now);
            self.begin(peer, next.direction, now);
        }
    }

    pub(super) fn close(&mut self, peer: Peer, reason: &str) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.is_over = true;
        let connections = state.connections.clone();
        for connection in connections {
            let (connection, reason) = (connection.number, reason.to_owned());
            self.emit(Event::CloseConnection { peer, connection, reason, at_once: false });
        }
    }

    pub(super) fn is_kept_out(&self, peer: &Peer, now: Time) -> bool {
        self.kept_out.get(peer).is_some_and(|until| now < *until)
    }

    /// Whether a connection to a peer is there, its handshake done or not.
    pub fn is_connected(&self, peer: &Peer) -> bool {
        self.peers.get(peer).is_some_and(|state| !state.connections.is_empty())
    }
}
