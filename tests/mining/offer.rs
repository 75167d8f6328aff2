//! An attacker that a node lets in, and that answers what the node asks as the test likes.

use super::branch::Branch;
use crate::{
    network::Network,
    peer::{Attacker, Lane, Seen, framed},
};
use conclave_ledger::{
    block::Block,
    codec,
    hash::{Hash, NetworkId},
    keys::SecretKey,
};
use conclave_protocol::mining::{CompactBlock, MAX_REQUEST_BYTES, Request, Response};
use libp2p::PeerId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How an attacker answers; nothing is silence, and anything may stand where an answer should.
pub(crate) type Answer = Box<dyn FnMut(&Request) -> Option<Vec<u8>> + Send>;

/// Serves all of a branch, as an honest node does.
pub(crate) fn serves(branch: &Arc<Branch>) -> Answer {
    let branch = branch.clone();
    Box::new(move |request| Some(codec::encode(&branch.respond(request))))
}

/// The same, and notes whether a block of this branch is asked for. Others' blocks are asked of anybody, this one too.
pub(crate) fn serves_and_notes(branch: &Arc<Branch>, is_asked: &Arc<AtomicBool>) -> Answer {
    let (branch, is_asked) = (branch.clone(), is_asked.clone());
    Box::new(move |request| {
        if let Request::Blocks(places) = request
            && places.iter().any(|place| branch.blocks.iter().any(|block| block.hash() == place.hash))
        {
            is_asked.store(true, Ordering::Relaxed);
        }
        Some(codec::encode(&branch.respond(request)))
    })
}

/// Shows the headers of a branch, and gives its blocks only once `gives` says so.
pub(crate) fn hides(branch: &Arc<Branch>, gives: &Arc<AtomicBool>) -> Answer {
    let (branch, gives) = (branch.clone(), gives.clone());
    Box::new(move |request| match request {
        Request::Blocks(_) if !gives.load(Ordering::Relaxed) => {
            Some(codec::encode(&Response::Blocks(Vec::new())))
        }
        request => Some(codec::encode(&branch.respond(request))),
    })
}

/// Has nothing, whatever is asked.
pub(crate) fn empty() -> Answer {
    Box::new(|request| {
        Some(codec::encode(&match request {
            Request::Headers(_) => Response::Headers(Vec::new()),
            Request::Blocks(_) => Response::Blocks(Vec::new()),
            Request::Transactions { .. } => Response::Transactions(Vec::new()),
        }))
    })
}

/// Never answers.
pub(crate) fn silent() -> Answer {
    Box::new(|_| None)
}

/// What has become of an attacker.
#[derive(Default)]
struct Fate {
    asked_headers: AtomicUsize,
    asked_blocks: AtomicUsize,
    is_let_go: AtomicBool,
}

/// An attacker and what it offers, beside the test.
pub(crate) struct Offer {
    pub(crate) key: SecretKey,
    fate: Arc<Fate>,
}

impl Offer {
    /// Somebody unknown who answers so, and before that announces a block, if there is one.
    pub(crate) fn make(network: &Network, node: usize, announced: Option<&Block>, answer: Answer) -> Self {
        Self::by(next_key(network), network, node, announced, answer)
    }

    /// The same by the owner of a key, who says that it is very far ahead.
    pub(crate) fn by(
        key: SecretKey,
        network: &Network,
        node: usize,
        announced: Option<&Block>,
        mut answer: Answer,
    ) -> Self {
        let (fate, kept) = (Arc::new(Fate::default()), key.clone());
        let address = network.addresses(node).remove(0);
        let mut visitor = network.block_on(Visitor::enter(network_id(network), key, &address)).unwrap();
        let announced = announced.map(|block| framed(&codec::encode(&CompactBlock::of(block))));
        let seen = fate.clone();
        network.spawn(async move {
            if let Some(bytes) = announced {
                visitor.attacker.send(visitor.node, Lane::Consensus, bytes);
            }
            visitor.serve(&mut answer, &seen).await;
        });
        Self { key: kept, fate }
    }

    /// How often it was asked for headers.
    pub(crate) fn asked_headers(&self) -> usize {
        self.fate.asked_headers.load(Ordering::Relaxed)
    }

    /// How often it was asked for blocks.
    pub(crate) fn asked_blocks(&self) -> usize {
        self.fate.asked_blocks.load(Ordering::Relaxed)
    }

    /// Whether the node has ended the connection.
    pub(crate) fn is_let_go(&self) -> bool {
        self.fate.is_let_go.load(Ordering::Relaxed)
    }
}

/// A key that nobody has yet: another one each time, and none by chance.
pub(crate) fn next_key(network: &Network) -> SecretKey {
    static KEYS: AtomicUsize = AtomicUsize::new(0);
    let number = KEYS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SecretKey::from_seed(Hash::of("attacker", &[&network_id(network).0, &number]).0)
}

fn network_id(network: &Network) -> NetworkId {
    conclave::genesis_file::read(&network.genesis()).unwrap().network_id()
}

/// Whether a node lets the owner of this key in.
pub(crate) fn is_let_in(network: &Network, node: usize, key: &SecretKey) -> bool {
    let address = network.addresses(node).remove(0);
    network.block_on(Visitor::enter(network_id(network), key.clone(), &address)).is_ok()
}

/// An attacker that has done the handshake.
struct Visitor {
    attacker: Attacker,
    node: PeerId,
}

impl Visitor {
    async fn enter(network: NetworkId, key: SecretKey, address: &str) -> Result<Self, String> {
        let mut attacker = Attacker::with_key(network, key.clone());
        attacker.claimed_height = 1_000_000;
        let node = attacker.dial(address).await?;
        let role = attacker.observer();
        attacker.try_enter(node, role, &key).await?.map_err(|reason| reason.to_string())?;
        Ok(Self { attacker, node })
    }

    /// Answers until the node ends the connection.
    async fn serve(&mut self, answer: &mut Answer, fate: &Fate) {
        // A question that is dropped fails at once; those that get no answer are kept.
        let mut unanswered = Vec::new();
        loop {
            let (lane, bytes, channel) = match self.attacker.seen().await {
                Seen::Closed(peer) if peer == self.node => break,
                Seen::Asked(lane, bytes, channel) => (lane, bytes, channel),
                _ => continue,
            };
            match lane {
                Lane::Admission => {
                    if let Some(shown) = self.attacker.solve(self.node, &bytes, channel, 0) {
                        self.attacker.send(self.node, Lane::Admission, shown);
                    }
                }
                Lane::Sync => {
                    let request = codec::decode(&bytes, MAX_REQUEST_BYTES).unwrap();
                    let counter = match request {
                        Request::Headers(_) => &fate.asked_headers,
                        _ => &fate.asked_blocks,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    match answer(&request) {
                        Some(bytes) => self.attacker.answer(lane, channel, bytes),
                        None => unanswered.push(channel),
                    }
                }
                _ => {}
            }
        }
        fate.is_let_go.store(true, Ordering::Relaxed);
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since: Duration = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}
