//! How many incoming connections each address block may have.

use super::block::AddressBlock;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    task::{Context, Poll},
};

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} connections from the addresses {block} are there already")]
pub struct BlockFull {
    /// Whose block it is.
    pub block: AddressBlock,
    /// How many it may have.
    pub limit: usize,
}

/// A behaviour that does nothing but to refuse connections: those beyond a number from one block, whether they are
/// established or still being negotiated.
pub struct BlockLimits {
    max_per_block: usize,
    connections: BTreeMap<ConnectionId, AddressBlock>,
    counts: BTreeMap<AddressBlock, usize>,
}

impl BlockLimits {
    /// Up to `max_per_block` incoming connections from each block.
    pub fn new(max_per_block: usize) -> Self {
        Self { max_per_block, connections: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn forget(&mut self, connection: ConnectionId) {
        if let Some(block) = self.connections.remove(&connection)
            && let Some(count) = self.counts.get_mut(&block)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&block);
            }
        }
    }
}

impl NetworkBehaviour for BlockLimits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let block = AddressBlock::of(remote);
        let limit = self.max_per_block;
        if self.counts.get(&block).is_some_and(|count| *count >= limit) {
            return Err(ConnectionDenied::new(BlockFull { block, limit }));
        }
        *self.counts.entry(block).or_default() += 1;
        self.connections.insert(connection, block);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
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
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.forget(connection_id),
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
