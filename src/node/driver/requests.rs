//! What local callers and peers ask of the node: queries, submissions, waits, and heights that are decided.

use super::{Driver, MAX_WAITING};
use crate::node::handle::{NodeView, Report, Request, Verdicts};
use conclave_ledger::{
    block::{Block, Decided},
    codec,
    hash::TransactionId,
    pool::PoolError,
    signed::Height,
    transaction::SharedTransaction,
};
use conclave_protocol::{
    mining,
    node::Input,
    sync::{self, ProvedHeight},
};
use libp2p::Multiaddr;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Transactions that a caller has submitted, until the verdicts are there.
pub(super) struct Submission {
    /// Their ids, if somebody watches.
    ids: Vec<TransactionId>,
    reply: oneshot::Sender<Verdicts>,
    watcher: Option<mpsc::UnboundedSender<Report>>,
}

impl Driver {
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Read(query) => {
                self.status.listen = self.listen_addresses();
                self.status.is_mining = self.miner.is_mining();
                self.status.hash_rate = self.miner.rate();
                self.connected.refresh(|peer| self.node.height_of(peer));
                query(&NodeView {
                    chain: self.node.chain(),
                    pool: self.node.pool(),
                    peers: self.connected.infos(),
                    status: &self.status,
                    known_peers: self.node.known_peers(),
                    recent: &self.persistence.recent,
                    mining: self.node.mining(),
                });
            }
            Request::Submit { transactions, reply, watcher } => {
                self.next_ticket += 1;
                let ids = match watcher {
                    Some(_) => transactions.iter().map(SharedTransaction::id).collect(),
                    None => Vec::new(),
                };
                self.submissions.insert(self.next_ticket, Submission { ids, reply, watcher });
                self.input(Input::Submit { ticket: self.next_ticket, transactions });
            }
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

    /// Answers a submission, and notes who is to be told of those that wait. Their decision is a later effect.
    pub(super) fn submitted(&mut self, ticket: u64, verdicts: Verdicts) {
        let Some(Submission { ids, reply, watcher }) = self.submissions.remove(&ticket) else { return };
        if let Some(watcher) = watcher {
            if self.waiting.len() + ids.len() > MAX_WAITING {
                self.forget_those_who_left();
            }
            let waits =
                |verdict: &Result<_, PoolError>| matches!(verdict, Ok(_) | Err(PoolError::AlreadyWaiting));
            for (_, id) in verdicts.iter().zip(ids).filter(|(verdict, _)| waits(verdict)) {
                if self.waiting.len() < MAX_WAITING {
                    self.waiting.entry(id).or_default().push(watcher.clone());
                }
            }
        }
        // The caller may have gone meanwhile.
        let _ = reply.send(verdicts);
    }

    /// Callers give up; what they waited for may never come.
    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|_, replies| {
            replies.retain(|reply| !reply.is_closed());
            !replies.is_empty()
        });
    }

    /// Finds what a peer asks for where proofs of work decide, away from the loop.
    pub(super) fn find_blocks(&mut self, token: u64, request: mining::Request) {
        let (recent, database) = (self.persistence.recent.clone(), self.handle.database.clone());
        let found = self.found.0.clone();
        tokio::task::spawn_blocking(move || {
            let read = |height: Height| -> Option<Arc<Block>> {
                if let Some(recent) = recent.get(&height) {
                    return recent.decided.block().cloned();
                }
                let bytes = database.snapshot().ok()?.block(height).ok()??;
                codec::decode::<Decided>(&bytes, usize::MAX).ok()?.block().cloned()
            };
            let response = mining::respond(&request, read);
            // Without a receiver the node is stopping.
            let _ = found.send(Input::BlocksFound { token, response });
        });
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
            let response = sync::respond(request, read);
            // Without a receiver the node is stopping.
            let _ = found.send(Input::LookedUp { token, response });
        });
    }
}
