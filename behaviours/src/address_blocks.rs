//! Bounds on the incoming connections from one block of addresses, so that who has many addresses in one place cannot
//! take up the connections that are there for all.
//!
//! ```text
//! pending inbound ─► counted by block ─► over `max_pending`: denied before any cryptography
//! established inbound ─► counted by block ─► over `max_established`: denied
//! release(peer) ─► its connections count no longer: it has proved who it is
//! ```
//! What a block is says [`AddressBlock`]. Connections that this node dials are not counted.

use crate::tracker::AddressBlock;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    task::{Context, Poll},
};

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most incoming connections from one block that are being negotiated.
    pub max_pending: usize,
    /// Most established incoming connections from one block of peers that are not released.
    pub max_established: usize,
}

/// Why a connection is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} connections from its block of addresses already")]
pub struct TooManyOfBlock {
    /// The bound.
    pub limit: usize,
}

/// The behaviour.
pub struct Behaviour {
    config: Config,
    pending: BTreeMap<ConnectionId, AddressBlock>,
    established: BTreeMap<ConnectionId, (AddressBlock, PeerId)>,
    released: BTreeSet<PeerId>,
}

impl Behaviour {
    /// With these bounds.
    pub fn new(config: Config) -> Self {
        Self { config, pending: BTreeMap::new(), established: BTreeMap::new(), released: BTreeSet::new() }
    }

    /// No longer counts the connections of a peer, until the last of them is closed.
    pub fn release(&mut self, peer: PeerId) {
        if self.established.values().any(|(_, known)| *known == peer) {
            self.released.insert(peer);
        }
    }

    fn check(limit: usize, of_block: usize) -> Result<(), ConnectionDenied> {
        if of_block >= limit { Err(ConnectionDenied::new(TooManyOfBlock { limit })) } else { Ok(()) }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let block = AddressBlock::of(remote);
        Self::check(self.config.max_pending, self.pending.values().filter(|known| **known == block).count())?;
        self.pending.insert(connection, block);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        let block = AddressBlock::of(remote);
        let counts = |(of, peer): &&(AddressBlock, PeerId)| *of == block && !self.released.contains(peer);
        Self::check(self.config.max_established, self.established.values().filter(counts).count())?;
        self.established.insert(connection, (block, peer));
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending.remove(&connection_id);
                // Another behaviour has denied it.
                self.established.remove(&connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, peer_id, .. }) => {
                self.established.remove(&connection_id);
                if !self.established.values().any(|(_, known)| *known == peer_id) {
                    self.released.remove(&peer_id);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use libp2p::swarm::ListenError;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn knock(behaviour: &mut Behaviour, number: usize, from: &str) -> bool {
        let local = address("/ip4/127.0.0.1/tcp/1");
        let connection = ConnectionId::new_unchecked(number);
        behaviour.handle_pending_inbound_connection(connection, &local, &address(from)).is_ok()
    }

    fn enter(behaviour: &mut Behaviour, number: usize, peer: PeerId, from: &str) -> bool {
        let local = address("/ip4/127.0.0.1/tcp/1");
        let connection = ConnectionId::new_unchecked(number);
        behaviour.handle_established_inbound_connection(connection, peer, &local, &address(from)).is_ok()
    }

    fn behaviour() -> Behaviour {
        Behaviour::new(Config { max_pending: 2, max_established: 3 })
    }

    #[test]
    fn one_block_leaves_room_for_others() {
        let mut behaviour = behaviour();
        assert!(knock(&mut behaviour, 1, "/ip4/192.0.2.1/tcp/1"));
        assert!(knock(&mut behaviour, 2, "/ip4/192.0.2.2/tcp/1"));
        assert!(!knock(&mut behaviour, 3, "/ip4/192.0.2.3/tcp/1"), "two are being negotiated");
        assert!(knock(&mut behaviour, 4, "/ip4/192.1.2.1/tcp/1"), "another block");
        for number in [1, 2, 5] {
            assert!(enter(&mut behaviour, number, PeerId::random(), "/ip4/192.0.2.1/tcp/1"));
        }
        assert!(knock(&mut behaviour, 6, "/ip4/192.0.2.1/tcp/1"), "none is being negotiated any more");
        assert!(!enter(&mut behaviour, 6, PeerId::random(), "/ip4/192.0.2.1/tcp/1"), "three are established");
        assert!(enter(&mut behaviour, 4, PeerId::random(), "/ip4/192.1.2.1/tcp/1"));
    }

    #[test]
    fn who_is_released_counts_no_longer_and_what_fails_or_closes_frees_its_place() {
        let mut behaviour = behaviour();
        let (validator, from) = (PeerId::random(), "/ip4/192.0.2.1/tcp/1");
        behaviour.release(validator);
        assert!(behaviour.released.is_empty(), "it is not here");
        for number in 0..3 {
            assert!(enter(&mut behaviour, number, validator, from));
        }
        assert!(!enter(&mut behaviour, 3, PeerId::random(), from));
        behaviour.release(validator);
        for number in 3..6 {
            assert!(enter(&mut behaviour, number, PeerId::random(), from));
        }
        assert!(!enter(&mut behaviour, 6, PeerId::random(), from));
        assert!(knock(&mut behaviour, 7, from) && knock(&mut behaviour, 8, from));
        for number in [5, 7] {
            let local = address("/ip4/127.0.0.1/tcp/1");
            behaviour.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
                local_addr: &local,
                send_back_addr: &local,
                error: &ListenError::Aborted,
                connection_id: ConnectionId::new_unchecked(number),
                peer_id: None,
            }));
        }
        assert!(knock(&mut behaviour, 9, from));
        assert!(enter(&mut behaviour, 9, PeerId::random(), from));
    }
}
