//! Validators that misbehave on purpose, one file for each fault; and miners, whose ways share three files of `mining/`.
//!
//! An adversary stands between a node's logic and whatever carries out its effects, the simulator's world or a real
//! node's driver. Inside it is a node that keeps every rule; the adversary replaces, withholds, delays or adds to what
//! that node wants done, with the node's own keys. So no honest code path knows that there are adversaries.
//!
//! What an adversary learns and signs it puts into the [`Coalition`], which those of one simulated network share: a
//! member can show to one node what another member was told. A real node that misbehaves has a coalition of its own.

mod bursts;
mod coalition;
mod delayed;
mod equivocate;
mod forge;
mod garbage;
mod impersonate;
mod invalid_votes;
mod late;
mod lying_sync;
mod mining;
mod moment;
mod scheme;
mod silent;
mod spam;
mod tamper;
mod windows;
mod withhold_block;
mod wrong_state;

#[cfg(test)]
mod tests;

pub use coalition::{Coalition, Knowledge, MAX_KNOWN_BLOCKS, MAX_KNOWN_HEIGHTS};
pub use moment::Moment;

use conclave_protocol::{
    node::{Effect, Input},
    time::Time,
};
use mining::secret::{Policy, Secret};
use scheme::Scheme;

/// The last moment of a window for [`Misbehaviour::Late`], as a part of Δ.
const LATE_MARGIN: u32 = 4;

/// A validator that does not keep the rules.
///
/// Deadlines work as those of machines do: after [`Adversary::handle_timeout`] the next one is later, or none.
pub trait Adversary: Send {
    /// What it does in the place of one thing that its node wants done. The default does it.
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let _ = at;
        vec![effect]
    }

    /// What it does when its node is told something, before the node hears of it. The default does nothing.
    fn overhear(&mut self, input: &Input, at: &mut Moment<'_>) -> Vec<Effect> {
        let _ = (input, at);
        Vec::new()
    }

    /// When [`Adversary::handle_timeout`] wants to be called.
    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// What it does of its own accord.
    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let _ = at;
        Vec::new()
    }
}

/// The ways to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misbehaviour {
    /// Takes part in nothing, although its connections stay up.
    Silent,
    /// A leader that signs two blocks and shows them to different validators.
    Equivocate,
    /// Speaks at the last moment of each window.
    Late,
    /// Completes a certificate for one validator, at a last moment.
    WithholdCertificate,
    /// Shows a certificate that nobody had in time after the height is over.
    LateCertificate,
    /// Completes the support of a block for one validator, at a last moment.
    WithholdSupport,
    /// Shows a block to one validator too late to be passed on.
    ShortChain,
    /// Names its block and keeps the body.
    WithholdBlock,
    /// Sends signatures that are none, and second votes.
    InvalidVotes,
    /// A leader whose blocks break a rule of the ledger.
    WrongState,
    /// Changes transactions and blocks on their way.
    Tamper,
    /// Sends more than anybody asked for.
    Spam,
    /// Sends bytes that are no message.
    Garbage,
    /// Lies about decided heights.
    LyingSync,
    /// Shows another validator's proof of its key as its own.
    Impersonate,
    /// Says whatever is well formed, with its coalition's signatures.
    Improvise,
    /// A miner that changes blocks, headers and transactions on their way.
    TamperBlocks,
    /// A miner that shows its blocks when that makes others' work vain.
    Selfish,
    /// A miner that keeps a chain of its own until it undoes several blocks.
    PrivateChain,
    /// A miner whose blocks have timestamps at the edges of what is allowed, and beyond.
    EdgeTimestamps,
    /// A miner that offers heavier branches of invalid blocks.
    ForgedChain,
    /// A miner that floods its peers with headers that lead nowhere.
    LowWork,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Silent,
        Self::Equivocate,
        Self::Late,
        Self::WithholdCertificate,
        Self::LateCertificate,
        Self::WithholdSupport,
        Self::ShortChain,
        Self::WithholdBlock,
        Self::InvalidVotes,
        Self::WrongState,
        Self::Tamper,
        Self::Spam,
        Self::Garbage,
        Self::LyingSync,
        Self::Impersonate,
        Self::Improvise,
        Self::TamperBlocks,
        Self::Selfish,
        Self::PrivateChain,
        Self::EdgeTimestamps,
        Self::ForgedChain,
        Self::LowWork,
    ];

    /// Those that make sense for miners.
    pub const OF_MINERS: [Self; 8] = [
        Self::Silent,
        Self::Garbage,
        Self::TamperBlocks,
        Self::Selfish,
        Self::PrivateChain,
        Self::EdgeTimestamps,
        Self::ForgedChain,
        Self::LowWork,
    ];

    /// Those that make sense for validators.
    pub const OF_VALIDATORS: [Self; 16] = [
        Self::Silent,
        Self::Equivocate,
        Self::Late,
        Self::WithholdCertificate,
        Self::LateCertificate,
        Self::WithholdSupport,
        Self::ShortChain,
        Self::WithholdBlock,
        Self::InvalidVotes,
        Self::WrongState,
        Self::Tamper,
        Self::Spam,
        Self::Garbage,
        Self::LyingSync,
        Self::Impersonate,
        Self::Improvise,
    ];

    /// Its name on the command line and in traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Equivocate => "equivocate",
            Self::Late => "late",
            Self::WithholdCertificate => "withhold-certificate",
            Self::LateCertificate => "late-certificate",
            Self::WithholdSupport => "withhold-support",
            Self::ShortChain => "short-chain",
            Self::WithholdBlock => "withhold-block",
            Self::InvalidVotes => "invalid-votes",
            Self::WrongState => "wrong-state",
            Self::Tamper => "tamper",
            Self::Spam => "spam",
            Self::Garbage => "garbage",
            Self::LyingSync => "lying-sync",
            Self::Impersonate => "impersonate",
            Self::Improvise => "improvise",
            Self::TamperBlocks => "tamper-blocks",
            Self::Selfish => "selfish",
            Self::PrivateChain => "private-chain",
            Self::EdgeTimestamps => "edge-timestamps",
            Self::ForgedChain => "forged-chain",
            Self::LowWork => "low-work",
        }
    }

    /// One line for people: what it does.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Silent => "says nothing of consensus, although its connections stay up",
            Self::Equivocate => "as leader signs two blocks, and shows one to some and the other to others",
            Self::Late => "says everything at the last moment of a window",
            Self::WithholdCertificate => {
                "as leader lets votes split, keeps its own, and shows the certificate to one validator at the last moment"
            }
            Self::LateCertificate => {
                "as leader shows a certificate that it withheld once the others have decided to skip"
            }
            Self::WithholdSupport => {
                "as leader keeps its votes, and shows support for its block to one validator at the last moment"
            }
            Self::ShortChain => {
                "as leader shows one validator another block when it is too late to pass it on"
            }
            Self::WithholdBlock => "as leader names its block, and gives the body to one validator at most",
            Self::InvalidVotes => "sends broken, borrowed and misplaced signatures, and second votes",
            Self::WrongState => "as leader signs blocks that break a rule of the ledger",
            Self::Tamper => "changes transactions and the bodies of blocks that pass through it",
            Self::Spam => "floods its peers with transactions, announcements and requests",
            Self::Garbage => "sends bytes that are no message, on every channel",
            Self::LyingSync => "answers questions about decided heights with lies",
            Self::Impersonate => {
                "claims another validator's key to the first peer, and passes on a proof that it made the other one give"
            }
            Self::Improvise => "says whatever it can sign, to whom it likes, when it matters most",
            Self::TamperBlocks => "as miner changes blocks, headers and transactions that pass through it",
            Self::Selfish => "as miner shows its blocks only when that makes the others' work vain",
            Self::PrivateChain => "as miner keeps a chain of its own until it undoes several blocks",
            Self::EdgeTimestamps => {
                "as miner gives its blocks the earliest and the latest timestamps, and worse"
            }
            Self::ForgedChain => "as miner offers heavier branches whose blocks break a rule",
            Self::LowWork => "as miner floods its peers with headers that lead nowhere",
        }
    }

    /// An adversary of this kind.
    pub fn adversary(self) -> Box<dyn Adversary> {
        match self {
            Self::Silent => Box::new(silent::Silent),
            Self::Equivocate => Box::new(equivocate::Equivocate::default()),
            Self::Late => Box::new(late::Late::new(LATE_MARGIN)),
            Self::WithholdCertificate => Box::new(Scheme::new(scheme::certificate::PLAN)),
            Self::LateCertificate => Box::new(Scheme::new(scheme::certificate::AFTER_THE_END)),
            Self::WithholdSupport => Box::new(Scheme::new(scheme::support::PLAN)),
            Self::ShortChain => Box::new(Scheme::new(scheme::chain::PLAN)),
            Self::WithholdBlock => Box::new(withhold_block::WithholdBlock::default()),
            Self::InvalidVotes => Box::new(invalid_votes::InvalidVotes::default()),
            Self::WrongState => Box::new(wrong_state::WrongState::default()),
            Self::Tamper => Box::new(tamper::Tamper),
            Self::Spam => Box::new(spam::Spam::default()),
            Self::Garbage => Box::new(garbage::Garbage::default()),
            Self::LyingSync => Box::new(lying_sync::LyingSync),
            Self::Impersonate => Box::new(impersonate::Impersonate::default()),
            Self::Improvise => Box::new(Scheme::everywhere(scheme::improvise::PLAN)),
            Self::TamperBlocks => Box::new(mining::tamper::TamperBlocks),
            Self::Selfish => Box::new(Secret::new(Policy::Selfish)),
            Self::PrivateChain => Box::new(Secret::new(Policy::Late)),
            Self::EdgeTimestamps => Box::new(Secret::new(Policy::Edges)),
            Self::ForgedChain => Box::new(mining::forged::ForgedChain::default()),
            Self::LowWork => Box::new(mining::forged::LowWork::default()),
        }
    }
}

impl std::str::FromStr for Misbehaviour {
    type Err = UnknownMisbehaviour;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| UnknownMisbehaviour(name.to_owned()))
    }
}

/// A name that no misbehaviour has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no misbehaviour is called {0:?}; there are: {names}", names = Misbehaviour::ALL.map(Misbehaviour::name).join(", "))]
pub struct UnknownMisbehaviour(pub String);
