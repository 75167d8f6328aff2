//! What the consensus machine asks of its node and tells it, and what the node answers.

use super::record::SignedRecord;
use crate::peer::Peer;
use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    keys::{PublicKey, Signature},
    proof::Proof,
    signed::{Height, Kind, SignatureSet, Value},
    validators::ValidatorSet,
};
use std::sync::Arc;

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// The next height to decide, with what follows from the decided chain.
    Begin {
        /// The height.
        height: Height,
        /// Its validators.
        validators: Arc<ValidatorSet>,
        /// Its leader.
        leader: PublicKey,
    },
    /// A peer is a validator with this key: its handshake is done and its channel open.
    Joined {
        /// The peer.
        peer: Peer,
        /// Its validator key.
        key: PublicKey,
    },
    /// Whether a valid transaction waits.
    Pending(bool),
    /// The block asked for by [`Event::Build`]; `None` when none can be built yet.
    Built {
        /// The height it was asked for.
        height: Height,
        /// The block.
        block: Option<Arc<Block>>,
    },
    /// The verdict asked for by [`Event::Check`].
    Checked {
        /// The height it was asked for.
        height: Height,
        /// The block's hash.
        block: BlockHash,
        /// The verdict.
        verdict: Verdict,
    },
    /// A block that was pulled, or read from the log after a restart.
    Block(Arc<Block>),
    /// The leader's signature on a block of the current height that this node has signed for, read from the log
    /// after a restart; it goes before the block. See [`Event::Proposed`].
    Proposed {
        /// The height.
        height: Height,
        /// The block.
        block: BlockHash,
        /// Kind of the leader's signature.
        kind: Kind,
        /// The leader's signature.
        signature: Signature,
    },
    /// A height that was decided before a restart and can still be undone (R1), or that the node has caught up with.
    /// Those of a restart go before the first `Begin`, ascending.
    Decided(Past),
    /// A certificate that came in another way than from a validator over its channel, such as by sync.
    Certificate {
        /// The height.
        height: Height,
        /// The value that it is on.
        value: Value,
        /// Its votes.
        votes: SignatureSet,
    },
    /// Fingerprint of the proofs that this node has of its last heights: what its `Decided` says.
    Proofs(u64),
    /// A certificate on what was decided at this height became known in another way: the decision is final.
    Certified(Height),
}

/// A decided height, as the chain knows it.
#[derive(Clone, Debug)]
pub struct Past {
    /// The height.
    pub height: Height,
    /// What was decided.
    pub value: Value,
    /// The proof, if it is known.
    pub proof: Option<Proof>,
    /// The leader of the height.
    pub leader: PublicKey,
    /// The validators that decided it.
    pub validators: Arc<ValidatorSet>,
}

/// What the ledger says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It keeps every rule; all honest nodes at the same tip say the same.
    pub valid: bool,
    /// Its timestamp is at most `Δ` ahead of this node's clock.
    pub timely: bool,
}

/// What the machine asks or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Write this to the log and sync it before anything that follows has any effect.
    Append(SignedRecord),
    /// The leader's signature on a block that this node signs for next: it belongs into the log with the block, so
    /// that a restarted node can say again what it signed without waiting for the leader.
    Proposed {
        /// The block.
        block: BlockHash,
        /// Kind of the leader's signature.
        kind: Kind,
        /// The leader's signature.
        signature: Signature,
    },
    /// The height is open: its clock runs.
    Opened {
        /// The height.
        height: Height,
    },
    /// Build a block for this height, answered by [`Command::Built`].
    Build {
        /// The height.
        height: Height,
    },
    /// Check this block, answered by [`Command::Checked`].
    Check {
        /// The block.
        block: Arc<Block>,
    },
    /// Pull this block from one of these peers, answered by [`Command::Block`].
    Fetch {
        /// The height.
        height: Height,
        /// The block's hash.
        block: BlockHash,
        /// Peers that named it.
        peers: Vec<Peer>,
    },
    /// The height is decided. A block is at hand when its hash was ever checked or extracted here; where `block`
    /// is `None` and the value is a block, it has to be pulled.
    Decide {
        /// The height.
        height: Height,
        /// The value.
        value: Value,
        /// The block, if it is one and is at hand.
        block: Option<Arc<Block>>,
        /// The proof; `None` until `f+1` commits are known, for a decision at the end of the last window.
        proof: Option<Proof>,
    },
    /// A proof of a decided height, or one with more signatures than the last.
    Proved {
        /// The height.
        height: Height,
        /// The value.
        value: Value,
        /// The proof.
        proof: Proof,
    },
    /// The height cannot close: fewer than a quorum of validators are reachable (rule P2).
    Halted {
        /// The height.
        height: Height,
        /// Validators whose closing is here, this one counted.
        closing: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// A certificate contradicts a decision that was made without one: go back (rule R1).
    Repair {
        /// The height.
        height: Height,
        /// The value that the certificate is on.
        value: Value,
        /// The certificate.
        proof: Proof,
    },
    /// A validator signed two things of which an honest one signs one.
    Misbehaved {
        /// Its key.
        validator: PublicKey,
        /// The height.
        height: Height,
        /// One of the two.
        first: (Kind, Value, Signature),
        /// The other.
        second: (Kind, Value, Signature),
    },
    /// A peer is further than the heights whose messages can be kept.
    Behind {
        /// The peer.
        peer: Peer,
        /// The height that it spoke of.
        height: Height,
    },
}
