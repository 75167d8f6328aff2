//! What governance can change, and the rules that a change has to meet.
//!
//! A change is checked against the [`Plan`]: the validator set and limits as they will be once every change that
//! is already approved has taken effect. So an approved change can always be made when its height comes.

use super::GovernanceError;
use crate::{
    genesis::{Limits, valid_name},
    keys::PublicKey,
    validators::{FaultBound, MAX_VALIDATORS, Member, Validator, ValidatorSet},
};
use serde::{Deserialize, Serialize};

/// A change of who decides, or within which bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Takes a validator into the set, as its last member.
    AddValidator(Validator),
    /// Takes the validator with this key out of the set.
    RemoveValidator(PublicKey),
    /// Replaces all limits.
    SetLimits(Limits),
}

/// The validator set and the limits after some changes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) set: ValidatorSet,
    pub(super) limits: Limits,
    /// The genesis rule by which `f` follows the set.
    pub(super) bound: FaultBound,
}

impl Plan {
    /// Makes a change that [`Plan::check`] has let through.
    pub(super) fn apply(&mut self, change: &Change) {
        let members = &mut self.set.members;
        match change {
            Change::AddValidator(validator) => {
                members.push(Member { validator: validator.clone(), suspended: false });
            }
            Change::RemoveValidator(key) => members.retain(|member| member.validator.key != *key),
            Change::SetLimits(limits) => self.limits = limits.clone(),
        }
        self.set.faulty = self.bound.faulty(self.set.len()) as u16;
    }

    /// Whether a change can be made.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(super) fn check(&self, change: &Change) -> Result<(), GovernanceError> {
        match change {
            Change::AddValidator(validator) => self.check_addition(validator)?,
            Change::RemoveValidator(key) => self.check_removal(key)?,
            Change::SetLimits(limits) => return Ok(limits.check(self.set.len())?),
        }
        let mut changed = self.clone();
        changed.apply(change);
        let (active, quorum) = (changed.active(), changed.set.quorum());
        if active < quorum {
            return Err(GovernanceError::QuorumLost { active, quorum });
        }
        Ok(())
    }

    fn check_addition(&self, validator: &Validator) -> Result<(), GovernanceError> {
        if !valid_name(&validator.name) {
            return Err(GovernanceError::Name);
        }
        if !validator.key.is_usable() {
            return Err(GovernanceError::UnusableKey(validator.key));
        }
        if let Some(index) = self.set.index_of(&validator.key) {
            let name = self.set.members[usize::from(index)].validator.name.clone();
            return Err(GovernanceError::DuplicateKey { key: validator.key, name });
        }
        if self.set.members.iter().any(|member| member.validator.name == validator.name) {
            return Err(GovernanceError::DuplicateName(validator.name.clone()));
        }
        if self.set.len() >= MAX_VALIDATORS {
            return Err(GovernanceError::TooManyValidators);
        }
        Ok(())
    }

    fn check_removal(&self, key: &PublicKey) -> Result<(), GovernanceError> {
        if self.set.index_of(key).is_none() {
            return Err(GovernanceError::UnknownValidator(*key));
        }
        let (left, minimum) = (self.set.len() - 1, self.limits.minimum_validators);
        if left < usize::from(minimum) {
            return Err(GovernanceError::TooFewValidators { left, minimum });
        }
        Ok(())
    }

    /// Members that are not suspended.
    fn active(&self) -> usize {
        self.set.members.iter().filter(|member| !member.suspended).count()
    }
}
