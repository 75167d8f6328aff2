//! The connected peers, in the order in which they came.

use crate::node::handle::PeerInfo;
use conclave_ledger::signed::Height;
use conclave_protocol::peer::Peer;

/// The peers, by the machines' names for them and for people.
#[derive(Default)]
pub(super) struct Connected {
    peers: Vec<Peer>,
    /// One for each, in the same order.
    infos: Vec<PeerInfo>,
}

impl Connected {
    /// Adds a peer, in the place of what was known of it.
    pub(super) fn insert(&mut self, peer: Peer, info: PeerInfo) {
        self.remove(&peer);
        self.peers.push(peer);
        self.infos.push(info);
    }

    pub(super) fn remove(&mut self, peer: &Peer) {
        if let Some(place) = self.peers.iter().position(|known| known == peer) {
            self.peers.remove(place);
            self.infos.remove(place);
        }
    }

    /// Takes over what peers have said of their heights since.
    pub(super) fn refresh(&mut self, height_of: impl Fn(&Peer) -> Option<Height>) {
        for (peer, info) in self.peers.iter().zip(&mut self.infos) {
            info.height = height_of(peer).unwrap_or(info.height);
        }
    }

    pub(super) fn infos(&self) -> &[PeerInfo] {
        &self.infos
    }

    pub(super) fn len(&self) -> usize {
        self.infos.len()
    }
}
