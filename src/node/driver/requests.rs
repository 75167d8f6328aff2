//! What local callers and peers ask of the node: queries, submissions, waits, and heights that are decided.

use super::{Driver, MAX_WAITING};
use crate::node::handle::{NodeView, Outcome, Request};
use conclave_ledger::{block::Decided, codec, hash::TransactionId, signed::Height};
use conclave_protocol::{
    node::Input,
    sync::{self, ProvedHeight},
};
use libp2p::Multiaddr;
use tokio::sync::oneshot;

impl Driver {
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Read(query) => {
                self.status.listen = self.listen_addresses();
                self.connected.refresh(|peer| self.node.height_of(peer));
                query(&NodeView {
                    chain: self.node.chain(),
                    pool: self.node.pool(),
                    peers: self.connected.infos(),
                    status: &self.status,
                    known_peers: self.node.known_peers(),
                    recent: &self.persistence.recent,
                });
            }
            Request::Submit { transactions, reply } => {
                self.next_ticket += 1;
                self.tickets.insert(self.next_ticket, reply);
                self.input(Input::Submit { ticket: self.next_ticket, transactions });
            }
            Request::Wait { id, reply } => self.wait(id, reply),
            Request::Say { text, reply } => self.say(text, reply),
            Request::Dial { address, reply } => self.network.dial_for(address, reply),
        }
    }

    fn listen_addresses(&self) -> Vec<String> {
        let id = *self.network.swarm.local_peer_id();
        let with_id =
            |address: &Multiaddr| address.clone().with_p2p(id).unwrap_or_else(|address| address).to_string();
        self.network.swarm.listeners().map(with_id).collect()
    }

    fn wait(&mut self, id: TransactionId, reply: oneshot::Sender<Outcome>) {
        // Most who wait have just submitted: then it waits in the pool, and nothing else need be searched.
        let waits = self.node.pool().get(&id).is_some();
        let known = if waits { None } else { self.find_recent(&id).or_else(|| self.find_stored(&id)) };
        match known {
            Some(outcome) => drop(reply.send(outcome)),
            None => {
                if self.waiting.len() >= MAX_WAITING {
                    self.forget_those_who_left();
                }
                if self.waiting.len() < MAX_WAITING {
                    let replies = self.waiting.entry(id).or_default();
                    replies.retain(|reply| !reply.is_closed());
                    replies.push(reply);
                }
            }
        }
    }

    /// Callers give up; what they waited for may never come.
    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|_, replies| {
            replies.retain(|reply| !reply.is_closed());
            !replies.is_empty()
        });
    }

    fn find_recent(&self, id: &TransactionId) -> Option<Outcome> {
        self.persistence.recent.iter().rev().find_map(|(height, recent)| {
            let index = recent.transactions.iter().position(|transaction| transaction == id)?;
            Some(Outcome::Decided { height: *height, block: recent.decided.hash(), index: index as u32 })
        })
    }

    fn find_stored(&self, id: &TransactionId) -> Option<Outcome> {
        let snapshot = self.handle.database.snapshot().ok()?;
        let location = snapshot.location(&id.0).ok()??;
        let record: Decided = codec::decode(&snapshot.block(location.height).ok()??, usize::MAX).ok()?;
        let (height, index) = (location.height, location.position);
        Some(Outcome::Decided { height, block: record.hash(), index })
    }

    /// Finds what a peer asks for, away from the loop.
    pub(super) fn look_up(&mut self, token: u64, request: sync::Request) {
        let (recent, database) = (self.persistence.recent.clone(), self.handle.database.clone());
        let found = self.found.0.clone();
        tokio::task::spawn_blocking(move || {
            let read = |height: Height| -> Option<ProvedHeight> {
                if let Some(recent) = recent.get(&height) {
                    let proof = recent.proof.clone()?;
                    return Some(ProvedHeight { decided: recent.decided.as_ref().clone(), proof });
                }
                let snapshot = database.snapshot().ok()?;
                let decided = codec::decode(&snapshot.block(height).ok()??, usize::MAX).ok()?;
                let proof = codec::decode(&snapshot.proof(height).ok()??, usize::MAX).ok()?;
                Some(ProvedHeight { decided, proof })
            };
            let response = respond(request, read);
            // Without a receiver the node is stopping.
            let _ = found.send(Input::LookedUp { token, response });
        });
    }
}

/// The answer to a request of a peer, within the bounds of a response.
fn respond(request: sync::Request, read: impl Fn(Height) -> Option<ProvedHeight>) -> sync::Response {
    match request {
        sync::Request::Status { height, proofs } => sync::Response::Status { height, proofs },
        sync::Request::Blocks { from, limit } => {
            let (mut heights, mut bytes) = (Vec::new(), 0);
            for height in (from..).take(limit.min(sync::MAX_HEIGHTS) as usize) {
                let Some(proved) = read(height).filter(|_| bytes < sync::RESPONSE_BYTES) else { break };
                bytes += codec::encode(&proved).len();
                heights.push(proved);
            }
            sync::Response::Blocks(heights)
        }
        sync::Request::Proofs { from, limit } => {
            let mut bytes = 0;
            let heights = (from..=Height::MAX).take(limit.min(sync::MAX_PROOFS) as usize);
            let values = heights.filter_map(read).map(|proved| sync::ProvedValue {
                height: proved.decided.height(),
                value: proved.decided.value(),
                proof: proved.proof,
            });
            let within = values.take_while(|value| {
                bytes += codec::encode(value).len();
                bytes < sync::RESPONSE_BYTES
            });
            sync::Response::Proofs(within.collect())
        }
        sync::Request::Block { height, hash } => {
            let block = read(height).and_then(|proved| proved.decided.block().cloned());
            sync::Response::Block(block.filter(|block| block.hash() == hash))
        }
    }
}
