//! Who decides: the validator set of one height, and the sizes of quorums that follow from it.
//!
//! The set of a height is a function of the state before that height, so every node computes the same one at the
//! tip, in catch-up and in `verify`.

use crate::keys::PublicKey;
use serde::{Deserialize, Serialize};

/// Most validators that a network can have; masks of signers and loops over the set are bounded by it.
pub const MAX_VALIDATORS: usize = 1024;

/// Longest name of a validator, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Position of a validator in the set of a height.
pub type ValidatorIndex = u16;

/// A validator as the genesis file and the governance rules name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Unique name for people, at most [`MAX_NAME_BYTES`] bytes.
    pub name: String,
    /// Key that signs consensus.
    pub key: PublicKey,
}

/// How many validators may be faulty, as a rule that also holds after the set has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultBound {
    /// `⌊(n−1)/3⌋`: safe also while the network is slow or cut, by the rule of quorum at the close.
    Third,
    /// `⌊(n−1)/2⌋`: needs a network that keeps its delay bound.
    Half,
    /// `n−1`: any number; needs a network that keeps its delay bound.
    AllButOne,
    /// A fixed number, which must stay below `n`.
    #[serde(untagged)]
    Exactly(u16),
}

impl FaultBound {
    /// `f` for a set of `validators` members; a fixed number is lowered to `n−1` where the set has shrunk under it.
    pub fn faulty(self, validators: usize) -> usize {
        let others = validators.saturating_sub(1);
        match self {
            Self::Third => others / 3,
            Self::Half => others / 2,
            Self::AllButOne => others,
            Self::Exactly(number) => usize::from(number).min(others),
        }
    }
}

/// A member of the set of one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name and key.
    pub validator: Validator,
    /// Proved to have signed twice: its signatures no longer count and it never leads.
    pub suspended: bool,
}

/// The validators of one height, in the order that gives them their index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorSet {
    /// Members; at least one, at most [`MAX_VALIDATORS`].
    pub members: Vec<Member>,
    /// `f`: how many of them may be faulty.
    pub faulty: u16,
}

impl ValidatorSet {
    /// A set of validators none of which is suspended.
    pub fn new(validators: impl IntoIterator<Item = Validator>, bound: FaultBound) -> Self {
        let members: Vec<Member> =
            validators.into_iter().map(|validator| Member { validator, suspended: false }).collect();
        let faulty = bound.faulty(members.len()) as u16;
        Self { members, faulty }
    }

    /// `n`.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member: never so in a checked network.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// `f`.
    pub fn faulty(&self) -> usize {
        usize::from(self.faulty)
    }

    /// Whether `f < n/3`, which is what the rule of quorum at the close (P2) asks for.
    pub fn closes_by_quorum(&self) -> bool {
        3 * self.faulty() < self.len()
    }

    /// `q`, the number of votes in a certificate: `n−f` when `f < n/3`, and `⌊(n+f)/2⌋+1` otherwise.
    pub fn quorum(&self) -> usize {
        if self.closes_by_quorum() {
            self.len() - self.faulty()
        } else {
            (self.len() + self.faulty()) / 2 + 1
        }
    }

    /// `n−q+1`, the number of votes that rule out a certificate on another value.
    pub fn support(&self) -> usize {
        (self.len() + 1).saturating_sub(self.quorum())
    }

    /// How many validators have to close and to settle for a height to be decided late: a quorum where one is always
    /// there, and all honest ones where no more can be hoped for.
    pub fn settling(&self) -> usize {
        if self.closes_by_quorum() { self.quorum() } else { self.len().saturating_sub(self.faulty()).max(1) }
    }

    /// Commits that prove a decision which was made without a certificate: `f+1`, of which an honest validator gave one.
    /// With `f ≥ n/2` so many may never come, and the `n−f` of all honest validators have to do. Those who decided
    /// themselves do not rest on them; whoever was away, or only follows, then trusts that not all of them lie.
    pub fn commits(&self) -> usize {
        (self.faulty() + 1).min(self.len().saturating_sub(self.faulty())).max(1)
    }

    /// The position of the validator with this key.
    pub fn index_of(&self, key: &PublicKey) -> Option<ValidatorIndex> {
        self.members
            .iter()
            .position(|member| member.validator.key == *key)
            .map(|index| index as ValidatorIndex)
    }

    /// The member at `index`.
    pub fn get(&self, index: ValidatorIndex) -> Option<&Member> {
        self.members.get(usize::from(index))
    }

    /// The key of the member at `index` if its signatures count.
    pub fn signer(&self, index: ValidatorIndex) -> Option<&PublicKey> {
        self.get(index).filter(|member| !member.suspended).map(|member| &member.validator.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// n, f, q and support by hand from the definitions of the consensus page.
    #[test]
    fn quorums_follow_the_definitions() {
        for (n, f, quorum, support) in [
            (1, 0, 1, 1),
            (3, 1, 3, 1),
            (4, 1, 3, 2),
            (4, 2, 4, 1),
            (4, 3, 4, 1),
            (5, 1, 4, 2),
            (7, 2, 5, 3),
            (7, 3, 6, 2),
        ] {
            let validators = (0..n)
                .map(|number| Validator { name: format!("v{number}"), key: PublicKey([number as u8; 32]) });
            let set = ValidatorSet::new(validators, FaultBound::Exactly(f));
            assert_eq!((set.quorum(), set.support()), (quorum, support), "n={n} f={f}");
            assert!(
                2 * quorum > n + usize::from(f),
                "two certificates share an honest validator: n={n} f={f}"
            );
        }
    }

    #[test]
    fn the_fault_bound_follows_the_set() {
        assert_eq!([4, 7, 3].map(|n| FaultBound::Third.faulty(n)), [1, 2, 0]);
        assert_eq!([4, 7, 3].map(|n| FaultBound::Half.faulty(n)), [1, 3, 1]);
        assert_eq!([4, 7, 3].map(|n| FaultBound::AllButOne.faulty(n)), [3, 6, 2]);
        assert_eq!([4, 7, 2].map(|n| FaultBound::Exactly(2).faulty(n)), [2, 2, 1]);
    }
}
