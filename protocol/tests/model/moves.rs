//! What a liar can say to a node: everything that its own key can sign, together with what honest nodes have signed.
//!
//! It hears honest nodes at once. It may keep a block's body back, sign for both blocks, show each node another vote,
//! and make certificates, support and commits of what it knows, with its own signature in them. It uses the second
//! block after the first only, for the two differ by nothing else than their hashes.

use crate::{
    game::{Game, HEIGHT, LEADER},
    nodes::Notes,
};
use conclave_ledger::signed::{Kind, SignatureSet, Value};
use conclave_protocol::consensus::Message;

/// One thing that is said to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Move {
    /// The body of a block.
    Body(usize),
    /// The longest chain on a block, with the liar's vote or endorsement for it.
    Chain { block: usize, votes: bool, with_body: bool },
    /// A vote to skip.
    Skip,
    /// A certificate, with all relays that there are and the liar's.
    Certificate(Option<usize>),
    /// Support, with all relays that there are and the liar's.
    Support(usize),
    /// "I am undecided in my last window."
    Closing,
    /// Commits, the liar's among them.
    Commit(Option<usize>),
}

impl Move {
    /// Everything that could be said.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of_block = |block: usize| {
            let chain = |votes, with_body| Self::Chain { block, votes, with_body };
            [
                chain(true, true),
                chain(false, true),
                chain(true, false),
                chain(false, false),
                Self::Body(block),
                Self::Support(block),
                Self::Certificate(Some(block)),
                Self::Commit(Some(block)),
            ]
        };
        let of_none = [Self::Skip, Self::Certificate(None), Self::Closing, Self::Commit(None)];
        (0..2).flat_map(of_block).chain(of_none)
    }
}

/// What honest nodes have signed, by whom.
pub(crate) struct Knowledge<'a> {
    game: &'a Game,
    signed: Vec<(u8, Kind, Value)>,
    heard: Vec<usize>,
    bodies: Vec<usize>,
}

impl<'a> Knowledge<'a> {
    pub(crate) fn new(game: &'a Game, notes: &[(u8, &Notes)]) -> Self {
        let signed = notes
            .iter()
            .flat_map(|(node, notes)| notes.log.iter().map(|record| (*node, record.kind, record.value)));
        let heard = notes.iter().flat_map(|(_, notes)| notes.heard.iter().copied());
        let bodies = notes.iter().flat_map(|(_, notes)| notes.bodies.iter().copied());
        Self { game, signed: signed.collect(), heard: heard.collect(), bodies: bodies.collect() }
    }

    fn signers(&self, kind: Kind, value: Value) -> Vec<u8> {
        let on_value = self.signed.iter().filter(|signed| (signed.1, signed.2) == (kind, value));
        on_value.map(|signed| signed.0).collect()
    }

    /// All known signatures and, if it `adds` it, the liar's own.
    fn set(&self, kind: Kind, value: Value, adds: bool) -> SignatureSet {
        let mut signers = self.signers(kind, value);
        signers.extend(self.game.liar.filter(|_| adds));
        self.game.signatures(kind, value, &signers)
    }

    fn value(&self, block: Option<usize>) -> Value {
        block.map_or(Value::Skip, |block| self.game.value(block))
    }

    /// Whether the liar has the body of a block, or could have signed for it at all.
    fn has(&self, block: usize) -> bool {
        let leads = self.game.liar == Some(LEADER);
        let is_next = block == 0 || self.heard.contains(&(block - 1));
        if leads { is_next } else { self.bodies.contains(&block) }
    }

    fn chain(&self, block: usize, votes: bool) -> Option<Message> {
        let value = self.game.value(block);
        let voters = self.set(Kind::Vote, value, votes);
        let endorsers = self.set(Kind::Endorse, value, !votes);
        let leader = u16::from(LEADER);
        (voters.contains(leader) || endorsers.contains(leader)).then(|| Message::Chain {
            height: HEIGHT,
            block: self.game.blocks[block].hash(),
            votes: voters,
            endorsements: endorsers,
        })
    }

    /// The messages of a move, in order; none where it has no meaning yet.
    pub(crate) fn messages(&self, said: Move) -> Vec<Message> {
        let height = HEIGHT;
        let body = |block: usize| Message::Block(self.game.blocks[block].clone());
        let one = match said {
            Move::Body(block) => self.has(block).then(|| body(block)),
            Move::Chain { block, votes, with_body } => {
                let Some(chain) = self.chain(block, votes).filter(|_| self.has(block)) else {
                    return Vec::new();
                };
                return with_body.then(|| body(block)).into_iter().chain([chain]).collect();
            }
            Move::Skip => Some(Message::Skip { height, votes: self.set(Kind::Vote, Value::Skip, true) }),
            Move::Certificate(block) => {
                let value = self.value(block);
                let votes = self.set(Kind::Vote, value, true);
                let relays = self.set(Kind::RelayCertificate, value, true);
                (votes.len() >= self.game.quorum()).then_some(Message::Certificate {
                    height,
                    value,
                    votes,
                    relays,
                })
            }
            Move::Support(block) => {
                let value = self.game.value(block);
                let votes = self.set(Kind::Vote, value, true);
                let relays = self.set(Kind::RelaySupport, value, true);
                let block = self.game.blocks[block].hash();
                (votes.len() >= self.game.support()).then_some(Message::Support {
                    height,
                    block,
                    votes,
                    relays,
                })
            }
            Move::Closing => Some(Message::Closing { height }),
            Move::Commit(block) => {
                let value = self.value(block);
                let commits = self.set(Kind::Commit, value, true);
                (commits.len() > 1).then_some(Message::Commit { height, value, commits })
            }
        };
        one.into_iter().collect()
    }
}
