//! What a run can do wrong, one variant for each thing that must hold.

use conclave_protocol::time::Time;

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A block has no proof of the work that it takes at least.
    #[error("host {host} adopted a block of height {height} for which the work was not done")]
    Unworked {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// Two honest hosts decided differently.
    #[error("disagreement at height {height}: host {first} and host {second} decided differently")]
    Disagreement {
        /// The height.
        height: u64,
        /// One of them.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A host changed a decision that it had made.
    #[error("host {host} went back on its decision of height {height}")]
    Reverted {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// A decision does not follow the one before it.
    #[error("host {host} decided height {height}, which does not follow what it decided before")]
    Unchained {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// A decided record, frame or proof cannot be read.
    #[error("host {host} decided height {height}, whose record or proof cannot be read")]
    Unreadable {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// A proof does not prove its height.
    #[error("host {host} holds a proof of height {height} that has {valid} valid signatures of {needed}")]
    Unproved {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
        /// Valid signatures by distinct validators.
        valid: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Certificates on two values of one height can be put together.
    #[error("height {height} has votes for two certificates")]
    TwoCertificates {
        /// The height.
        height: u64,
    },
    /// A transaction was decided that nobody sent, or that its sender did not sign.
    #[error("height {height} has a transaction that nobody sent")]
    Invented {
        /// The height.
        height: u64,
    },
    /// A transaction was decided twice.
    #[error("a transaction of height {first} counts again at height {second}")]
    Repeated {
        /// Where it was decided.
        first: u64,
        /// Where it was decided again.
        second: u64,
    },
    /// A transaction that was acknowledged is not where it was said to be.
    #[error("host {host} has lost a transaction that was acknowledged at height {height}")]
    Lost {
        /// Which host.
        host: usize,
        /// Where it was said to be.
        height: u64,
    },
    /// An honest validator voted twice in a height.
    #[error("honest validator {validator} voted twice at height {height}")]
    SecondVote {
        /// Who.
        validator: usize,
        /// The height.
        height: u64,
    },
    /// A signature left before it was durable.
    #[error("host {host} sent a signature of height {height} that its log did not hold yet")]
    NotLogged {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// Evidence against an honest validator was decided.
    #[error("honest validator {validator} is accused at height {height}")]
    Accused {
        /// Who.
        validator: usize,
        /// Where the evidence was decided.
        height: u64,
    },
    /// A fault that a host could prove was not.
    #[error(
        "validator {validator} signed twice at height {height}, which host {witness} saw, and no evidence was decided"
    )]
    NotProved {
        /// Who.
        validator: usize,
        /// The height.
        height: u64,
        /// Who has both signatures.
        witness: usize,
    },
    /// A height took longer than the protocol allows.
    #[error("host {host} opened height {height} at {opened:?} and had not decided it by {until:?}")]
    TooSlow {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
        /// When it was opened.
        opened: Time,
        /// By when it had to be decided.
        until: Time,
    },
    /// A host halted although the network kept its bound.
    #[error("host {host} halted at height {height} although the network keeps its bound")]
    HaltedForNothing {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// Transactions are undecided at the end.
    #[error("{0} transactions were not decided by the end of the run")]
    NoProgress(usize),
    /// Honest hosts are at different heights at the end.
    #[error("at the end host {host} is at height {height}, others at {highest}")]
    LeftBehind {
        /// Which host.
        host: usize,
        /// Its height.
        height: u64,
        /// The highest.
        highest: u64,
    },
    /// A host that keeps the rules gave up.
    #[error("host {host} gave up: {reason}")]
    GaveUp {
        /// Which host.
        host: usize,
        /// Why.
        reason: String,
    },
    /// An honest host was kept out for a lie.
    #[error("host {by} blames honest host {whom}: {reason}")]
    Blamed {
        /// Who blames.
        by: usize,
        /// Whom.
        whom: usize,
        /// What for.
        reason: String,
    },
    /// A host took another for an honest validator that it is not.
    #[error("host {host} takes host {by} for validator {validator}, whose key it does not have")]
    Impersonated {
        /// Which host.
        host: usize,
        /// Whom.
        by: usize,
        /// For whom.
        validator: usize,
    },
    /// A host holds more than it may.
    #[error("host {host} holds {what}")]
    Unbounded {
        /// Which host.
        host: usize,
        /// What, and how much of it.
        what: String,
    },
}
