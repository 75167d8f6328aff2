//! One step of a plan: what is said to one validator, and when.

use super::Moment;
use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    keys::PublicKey,
    signed::{Height, Kind, SignatureSet, Value},
};
use conclave_protocol::{consensus::Message, peer::Peer};
use std::{sync::Arc, time::Duration};

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::adversaries) struct Step {
    /// To whom.
    pub(super) to: Peer,
    /// In which of its windows, from 1.
    pub(super) window: u32,
    /// How long before the end of that window.
    pub(super) before_end: Duration,
    /// What.
    pub(super) act: Act,
}

/// What is said. Numbers of members count from the one that leads, if one does.
#[derive(Clone, Debug)]
pub(in crate::adversaries) enum Act {
    /// A block's body.
    Body(Arc<Block>),
    /// A chain with so many members' signatures of one kind, and those of honest validators if they are to be shown.
    Chain {
        /// The block.
        block: BlockHash,
        /// Vote or endorsement.
        kind: Kind,
        /// How many members sign.
        members: usize,
        /// Whether all known votes and endorsements go with it.
        with_known: bool,
    },
    /// Votes to skip: all that are known, and those of so many members.
    Skip {
        /// How many members vote.
        members: usize,
    },
    /// The certificate, if the known votes and those of all members are enough for one.
    Certificate {
        /// On what.
        value: Value,
        /// How many members relay it.
        relays: usize,
    },
    /// The support, if the known votes and those of all members are enough for it.
    Support {
        /// For which block.
        block: BlockHash,
        /// How many members relay it.
        relays: usize,
    },
    /// Support of one vote, which is too few in most networks.
    TooLittleSupport(BlockHash),
    /// The speaker's `Closing`.
    Closing,
    /// All members' `Settle`.
    Settle(Value),
    /// All members' `Commit`.
    Commit(Value),
    /// The speaker claims to have decided.
    Decided,
}

impl Act {
    /// The message, if it can be made of what is known by now.
    pub(super) fn message(&self, height: Height, at: &mut Moment<'_>) -> Option<Message> {
        let set = at.set();
        let members = members(at);
        let sign = |at: &Moment<'_>, count: usize, kind: Kind, value: Value| -> SignatureSet {
            let signed = members
                .iter()
                .take(count)
                .filter_map(|key| Some((set.index_of(key)?, at.coalition.sign(key, height, kind, value)?)));
            signed.collect()
        };
        let votes = |at: &mut Moment<'_>, value: Value| {
            let known = at.coalition.height(height).set(Kind::Vote, value);
            both(sign(at, usize::MAX, Kind::Vote, value), &known)
        };
        Some(match self {
            Self::Body(block) => Message::Block(block.clone()),
            Self::Chain { block, kind, members: count, with_known } => {
                let value = Value::Block(*block);
                let of = |wanted| if *kind == wanted { *count } else { 0 };
                let mut votes = sign(at, of(Kind::Vote), Kind::Vote, value);
                let mut endorsements = sign(at, of(Kind::Endorse), Kind::Endorse, value);
                if *with_known {
                    votes = both(votes, &at.coalition.height(height).set(Kind::Vote, value));
                    endorsements = both(endorsements, &at.coalition.height(height).set(Kind::Endorse, value));
                }
                let leader = set.index_of(&at.coalition.leader_of(height)?)?;
                if !votes.contains(leader) && !endorsements.contains(leader) {
                    return None;
                }
                Message::Chain { height, block: *block, votes, endorsements }
            }
            Self::Skip { members: count } => {
                let known = at.coalition.height(height).set(Kind::Vote, Value::Skip);
                let votes = both(sign(at, *count, Kind::Vote, Value::Skip), &known);
                if votes.is_empty() {
                    return None;
                }
                Message::Skip { height, votes }
            }
            Self::Certificate { value, relays } => {
                let votes = votes(at, *value);
                if votes.len() < set.quorum() {
                    return None;
                }
                let relays = sign(at, *relays, Kind::RelayCertificate, *value);
                Message::Certificate { height, value: *value, votes, relays }
            }
            Self::Support { block, relays } => {
                let votes = votes(at, Value::Block(*block));
                if votes.len() < set.support() {
                    return None;
                }
                let relays = sign(at, *relays, Kind::RelaySupport, Value::Block(*block));
                Message::Support { height, block: *block, votes, relays }
            }
            Self::TooLittleSupport(block) => {
                let votes = sign(at, 1, Kind::Vote, Value::Block(*block));
                let relays = sign(at, usize::MAX, Kind::RelaySupport, Value::Block(*block));
                Message::Support { height, block: *block, votes, relays }
            }
            Self::Closing => Message::Closing { height },
            Self::Settle(value) => {
                let settles = sign(at, usize::MAX, Kind::Settle, *value);
                Message::Settle { height, value: *value, settles }
            }
            Self::Commit(value) => {
                let commits = sign(at, usize::MAX, Kind::Commit, *value);
                Message::Commit { height, value: *value, commits }
            }
            Self::Decided => Message::Decided { height, proofs: 0 },
        })
    }
}

/// The members' keys, the speaker's first.
pub(super) fn members(at: &Moment<'_>) -> Vec<PublicKey> {
    let me = at.key.public();
    let others = at.coalition.keys().map(|key| key.public()).filter(|key| *key != me);
    std::iter::once(me).chain(others).collect()
}

fn both(mut set: SignatureSet, other: &SignatureSet) -> SignatureSet {
    other.iter().for_each(|(signer, signature)| set.insert(signer, *signature));
    set
}
