//! Validators that misbehave on purpose, one file for each fault.
//!
//! An adversary stands between a node's logic and whatever carries out its effects, the simulator's world or a real
//! node's driver. Inside it is a node that keeps every rule; the adversary replaces, withholds, delays or adds to what
//! that node wants done, with the node's own keys. So no honest code path knows that there are adversaries.
//!
//! What an adversary learns and signs it puts into the [`Coalition`], which those of one simulated network share: a
//! member can show to one node what another member was told. A real node that misbehaves has a coalition of its own.

mod coalition;
mod silent;

pub use coalition::{Coalition, Knowledge, MAX_KNOWN_BLOCKS, MAX_KNOWN_HEIGHTS};

use conclave_ledger::keys::{PublicKey, SecretKey};
use conclave_protocol::{
    node::{Clock, Effect, Input, Node},
    time::Time,
};
use rand_chacha::ChaCha20Rng;

/// What an adversary has at hand whenever it is asked.
pub struct Moment<'a> {
    /// Its node's clocks.
    pub clock: Clock,
    /// Its node, which keeps the rules.
    pub node: &'a Node,
    /// Its validator key.
    pub key: &'a SecretKey,
    /// What all members know.
    pub coalition: &'a mut Coalition,
    /// Its randomness.
    pub random: &'a mut ChaCha20Rng,
}

impl Moment<'_> {
    /// The validators among the peers, by the key that each has proved.
    pub fn validators(&self) -> Vec<(conclave_protocol::peer::Peer, PublicKey)> {
        let proved = self.node.peers().iter();
        proved.filter_map(|(peer, role)| role.validator().map(|key| (*peer, key))).collect()
    }
}

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
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Silent];

    /// Its name on the command line and in traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
        }
    }

    /// One line for people: what it does.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Silent => "says nothing of consensus, although its connections stay up",
        }
    }

    /// An adversary of this kind.
    pub fn adversary(self) -> Box<dyn Adversary> {
        match self {
            Self::Silent => Box::new(silent::Silent),
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
