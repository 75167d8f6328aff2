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
