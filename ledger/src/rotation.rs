//! Who leads a height, computed from the decided chain alone.
//!
//! Leaders take turns in the order of the validator set. A validator whose turn ended in a skip is *absent*: it is
//! passed over, so that a dead leader costs one skipped height and not one in every round. It comes back by a
//! signed `Resume` of the governance application, which it sends when it is at the tip again.
//!
//! Why this cannot be abused: only a decided skip makes a validator absent, and while the network keeps its delay
//! bound no coalition of up to `f` can have an honest leader's turn skipped. Only the validator itself can sign
//! its return. One that returns and lets its turn pass again must wait twice as many heights each time, up to
//! [`LONGEST_WAIT`], before its next return counts; a turn that ends in a block clears its account. So a validator
//! that keeps doing this delays at most one height in [`LONGEST_WAIT`] in the long run. Suspended validators never
//! lead. Where everybody is absent, turns go round as if nobody were.

use crate::{
    codec::DecodeError,
    keys::PublicKey,
    signed::Height,
    state::{View, key},
    validators::ValidatorSet,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most heights that a validator waits between a skipped turn and a return that counts.
pub const LONGEST_WAIT: Height = 1024;

/// A validator's skipped turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// Turns skipped since the last one that ended in a block.
    skipped: u32,
    /// First height at which a return counts.
    returns_from: Height,
    /// Whether it is passed over.
    absent: bool,
}

/// The state of the rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    last: Option<PublicKey>,
    accounts: BTreeMap<PublicKey, Account>,
}

/// Why a validator's return does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// It is not passed over.
    #[error("the validator is not passed over")]
    NotAbsent,
    /// It let its turn pass too lately.
    #[error("the validator may return from height {0} on")]
    TooEarly(Height),
}

fn table() -> Vec<u8> {
    key("rotation", &[])
}

impl Rotation {
    /// The rotation in a state.
    pub fn read(state: &View<'_>) -> Self {
        state.get(&table()).unwrap_or_default()
    }

    /// Whether the rotation in a state, if there is one, is of its shape.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(state: &View<'_>) -> Result<(), DecodeError> {
        let entry = table();
        if state.contains(&entry) {
            state.checked::<Self>(&entry, "the rotation")?;
        }
        Ok(())
    }

    fn write(&self, state: &mut View<'_>) {
        state.put(table(), self);
    }

    /// The leader of the next height: the member after the last leader who may lead and is not passed over.
    pub fn leader(&self, set: &ValidatorSet) -> PublicKey {
        let after_last =
            self.last.and_then(|last| set.index_of(&last)).map_or(0, |index| usize::from(index) + 1);
        let in_turn = || {
            let members = set.members.iter();
            members.cycle().skip(after_last).take(set.len()).filter(|member| !member.suspended)
        };
        in_turn()
            .find(|member| !self.is_absent(&member.validator.key))
            .or_else(|| in_turn().next())
            .or(set.members.first())
            .expect("a validator set has at least one member")
            .validator
            .key
    }

    /// Whether `validator` is passed over.
    pub fn is_absent(&self, validator: &PublicKey) -> bool {
        self.accounts.get(validator).is_some_and(|account| account.absent)
    }

    /// Whether the return of `validator` would count at `height`.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_resume(&self, validator: &PublicKey, height: Height) -> Result<(), ResumeError> {
        match self.accounts.get(validator) {
            Some(account) if account.absent && height < account.returns_from => {
                Err(ResumeError::TooEarly(account.returns_from))
            }
            Some(account) if account.absent => Ok(()),
            _ => Err(ResumeError::NotAbsent),
        }
    }

    /// Takes `validator` back into the turns.
    pub fn resume(validator: &PublicKey, state: &mut View<'_>) {
        let mut rotation = Self::read(state);
        if let Some(account) = rotation.accounts.get_mut(validator) {
            account.absent = false;
        }
        rotation.write(state);
    }

    /// Notes how the turn of `leader` ended at `height`.
    pub fn end_turn(leader: &PublicKey, height: Height, skipped: bool, state: &mut View<'_>) {
        let mut rotation = Self::read(state);
        rotation.last = Some(*leader);
        if skipped {
            let before = rotation.accounts.get(leader).map_or(0, |account| account.skipped);
            let wait = 1u64.checked_shl(before).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
            let account =
                Account { skipped: before.saturating_add(1), returns_from: height + wait, absent: true };
            rotation.accounts.insert(*leader, account);
        } else {
            rotation.accounts.remove(leader);
        }
        rotation.write(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::State,
        validators::{FaultBound, Validator},
    };

    fn set(validators: u8) -> ValidatorSet {
        let validators =
            (0..validators).map(|n| Validator { name: format!("v{n}"), key: PublicKey([n; 32]) });
        ValidatorSet::new(validators, FaultBound::Third)
    }

    /// Plays turns: `dead` let theirs pass. Returns the leaders in order.
    fn play(set: &ValidatorSet, state: &mut State, from: Height, turns: u64, dead: &[u8]) -> Vec<u8> {
        (from..from + turns)
            .map(|height| {
                let mut view = state.view();
                let leader = Rotation::read(&view).leader(set);
                Rotation::end_turn(&leader, height, dead.contains(&leader.0[0]), &mut view);
                let changes = view.into_changes();
                state.apply(changes);
                leader.0[0]
            })
            .collect()
    }

    #[test]
    fn turns_go_round_and_pass_over_the_absent_until_they_return() {
        let (set, mut state) = (set(4), State::default());
        assert_eq!(play(&set, &mut state, 1, 6, &[1]), [0, 1, 2, 3, 0, 2]);
        let mut view = state.view();
        Rotation::resume(&PublicKey([1; 32]), &mut view);
        let changes = view.into_changes();
        state.apply(changes);
        assert_eq!(play(&set, &mut state, 7, 4, &[]), [3, 0, 1, 2]);
    }

    #[test]
    fn each_skipped_turn_doubles_the_wait_and_a_block_clears_it() {
        let (leader, mut state) = (PublicKey([1; 32]), State::default());
        let mut end_turn = |height, skipped| {
            let mut view = state.view();
            Rotation::end_turn(&leader, height, skipped, &mut view);
            let changes = view.into_changes();
            state.apply(changes);
            Rotation::read(&state.view()).check_resume(&leader, height)
        };
        for (turn, wait) in [(0, 1), (1, 2), (2, 4)] {
            assert_eq!(end_turn(100 + turn, true), Err(ResumeError::TooEarly(100 + turn + wait)));
        }
        assert_eq!(end_turn(200, false), Err(ResumeError::NotAbsent));
        assert_eq!(end_turn(201, true), Err(ResumeError::TooEarly(202)));
        for turn in 0..40 {
            let _ = end_turn(300 + turn, true);
        }
        assert_eq!(end_turn(400, true), Err(ResumeError::TooEarly(400 + LONGEST_WAIT)));
    }

    #[test]
    fn somebody_leads_although_all_are_absent_or_suspended() {
        let (mut set, mut state) = (set(3), State::default());
        assert_eq!(play(&set, &mut state, 1, 5, &[0, 1, 2]), [0, 1, 2, 0, 1]);
        set.members[2].suspended = true;
        assert_eq!(Rotation::read(&state.view()).leader(&set).0[0], 0);
    }
}
