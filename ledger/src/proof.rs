//! Proofs that a height was decided, checkable from the height's validator set alone.

use crate::{
    hash::NetworkId,
    signed::{Height, Kind, SignatureSet, Slot, Value},
    validators::ValidatorSet,
};
use serde::{Deserialize, Serialize};

/// Why a height is decided as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// `q` or more `Vote(x)`: the certificate.
    Certificate(SignatureSet),
    /// [`ValidatorSet::commits`] or more `Commit(x)`, of a height decided at the end of its last window.
    Commits(SignatureSet),
}

/// A rule that a proof breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Fewer signatures than the kind of proof needs.
    #[error("{found} signatures by distinct validators, {needed} are needed")]
    TooFew {
        /// Signatures found.
        found: usize,
        /// Signatures needed.
        needed: usize,
    },
    /// A signature that does not verify, or is not by a validator of the height whose word counts.
    #[error("a signature is not valid for this height, value and validator set")]
    Signature,
}

impl Proof {
    /// Checks that this proves `value` at `height` for the validators in `set`.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn verify(
        &self,
        network: NetworkId,
        height: Height,
        value: &Value,
        set: &ValidatorSet,
    ) -> Result<(), ProofError> {
        self.check_count(set)?;
        let (kind, signatures) = match self {
            Self::Certificate(votes) => (Kind::Vote, votes),
            Self::Commits(commits) => (Kind::Commit, commits),
        };
        if !signatures.verify(Slot { network, height }, kind, value, set) {
            return Err(ProofError::Signature);
        }
        Ok(())
    }

    /// Checks that there are as many signatures as the kind of proof needs.
    ///
    /// # Errors
    /// [`ProofError::TooFew`].
    pub fn check_count(&self, set: &ValidatorSet) -> Result<(), ProofError> {
        let needed = if self.is_certificate() { set.quorum() } else { set.commits() };
        let found = self.signatures().len();
        if found < needed { Err(ProofError::TooFew { found, needed }) } else { Ok(()) }
    }

    /// This proof with what another one of the same decision adds to it, every signature of which verifies; `None` if
    /// that is nothing. A certificate takes the place of commits. Whatever the order in which nodes learn of proofs by
    /// honest validators, they end with the same.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Certificate(known), Self::Certificate(more)) => union(known, more).map(Self::Certificate),
            (Self::Commits(known), Self::Commits(more)) => union(known, more).map(Self::Commits),
            (Self::Commits(_), Self::Certificate(_)) => Some(other.clone()),
            (Self::Certificate(_), Self::Commits(_)) => None,
        }
    }

    /// Whether it is a certificate, which nothing outranks.
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    /// The signatures it rests on.
    pub fn signatures(&self) -> &SignatureSet {
        match self {
            Self::Certificate(signatures) | Self::Commits(signatures) => signatures,
        }
    }
}

/// Both sets together, if the second adds anything to the first.
fn union(known: &SignatureSet, more: &SignatureSet) -> Option<SignatureSet> {
    let mut both = known.clone();
    more.iter().for_each(|(signer, signature)| both.insert(signer, *signature));
    (both.len() > known.len()).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Signature;

    fn set(signers: &[u16]) -> SignatureSet {
        signers.iter().map(|signer| (*signer, Signature([*signer as u8; 64]))).collect()
    }

    #[test]
    fn proofs_merge_to_the_same_in_any_order() {
        let proofs = [
            Proof::Commits(set(&[0, 1])),
            Proof::Certificate(set(&[0, 1, 2])),
            Proof::Certificate(set(&[1, 2, 3])),
            Proof::Commits(set(&[3])),
        ];
        for first in 0..proofs.len() {
            for step in 1..proofs.len() {
                let mut merged = proofs[first].clone();
                for place in 0..proofs.len() * 2 {
                    let other = &proofs[(first + place * step) % proofs.len()];
                    merged = merged.merged(other).unwrap_or(merged);
                }
                for other in &proofs {
                    merged = merged.merged(other).unwrap_or(merged);
                    assert_eq!(merged.merged(other), None, "it adds nothing twice");
                }
                assert_eq!(merged, Proof::Certificate(set(&[0, 1, 2, 3])));
            }
        }
        assert_eq!(proofs[0].merged(&proofs[3]), Some(Proof::Commits(set(&[0, 1, 3]))));
    }
}
