//! What takes decided heights back (rule R1): kept from the oldest height without a certificate on, within
//! [`UNDO_HEIGHTS`], and stored beside the state so that a restart forgets none of it.

use super::{Tip, tip_key, work_key};
use crate::{
    block::Decided,
    bytes::Bytes,
    codec::{self, DecodeError},
    genesis::Genesis,
    keys::PublicKey,
    proof_of_work::{Position, Progress},
    signed::Height,
    state::Changes,
    validators::ValidatorSet,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// How many heights back a decision of validators without a certificate can still be undone.
pub const UNDO_HEIGHTS: usize = 64;

/// Version of the stored form.
const FORMAT: u16 = 1;

/// A decided height that can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// What was decided.
    pub decided: Decided,
    /// The leader of the height.
    pub leader: PublicKey,
    /// The validators that decided it.
    pub validators: Arc<ValidatorSet>,
    /// Whether its certificate is known. It is kept for the sake of an earlier height then.
    pub certified: bool,
    /// Entries of the state as they were before.
    pub(super) changes: Changes,
}

/// The stored form, without the record, which is stored anyway.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u16,
    leader: PublicKey,
    validators: Arc<ValidatorSet>,
    certified: bool,
    changes: Vec<(Bytes, Option<Bytes>)>,
}

impl Undo {
    /// Where the chain stood before the height by the work done on it, under that engine.
    pub fn before(&self, genesis: &Genesis) -> Option<Position> {
        genesis.proof_of_work.as_ref()?;
        let bytes = |key: &Vec<u8>| self.changes.get(key)?.as_deref();
        let tip: Tip = cbor4ii::serde::from_slice(bytes(&tip_key())?).ok()?;
        let progress: Progress = cbor4ii::serde::from_slice(bytes(&work_key())?).ok()?;
        Some(Position::of(&tip, progress))
    }

    /// The bytes to be stored, in canonical CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let changes = self.changes.iter().map(|(key, value)| (Bytes(key.clone()), value.clone().map(Bytes)));
        codec::encode(&Stored {
            format: FORMAT,
            leader: self.leader,
            validators: self.validators.clone(),
            certified: self.certified,
            changes: changes.collect(),
        })
    }

    /// Reads what [`Undo::encode`] wrote; `decided` is the record of the height.
    ///
    /// # Errors
    /// When the bytes are not of this format.
    pub fn decode(bytes: &[u8], decided: Decided) -> Result<Self, DecodeError> {
        let stored: Stored = codec::decode(bytes, bytes.len())?;
        if stored.format != FORMAT {
            let found = stored.format;
            return Err(DecodeError::Malformed(format!("format {found}, this program reads {FORMAT}")));
        }
        let changes = stored.changes.into_iter().map(|(key, value)| (key.0, value.map(|value| value.0)));
        Ok(Self {
            decided,
            leader: stored.leader,
            validators: stored.validators,
            certified: stored.certified,
            changes: changes.collect(),
        })
    }
}

/// Why heights cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("height {height} can no longer be undone; the oldest that can is {oldest:?}")]
pub struct CannotUndo {
    /// The height asked for.
    pub height: Height,
    /// The oldest height that can be undone.
    pub oldest: Option<Height>,
}

/// What was stored does not undo the chain's last heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what undoes the last heights does not lead from one to the next up to the tip, height {tip}")]
pub struct BrokenUndo {
    /// The chain's last height.
    pub tip: Height,
}

/// The heights that can be undone: consecutive ones, the last of which is the tip, the first without a certificate.
pub(super) struct UndoLog {
    heights: BTreeMap<Height, Undo>,
    /// Most of them.
    limit: usize,
}

impl UndoLog {
    pub(super) fn new(limit: usize) -> Self {
        Self { heights: BTreeMap::new(), limit }
    }

    pub(super) fn restore(heights: Vec<(Height, Undo)>, tip: &Tip, limit: usize) -> Result<Self, BrokenUndo> {
        let broken = BrokenUndo { tip: tip.height };
        let first = (tip.height + 1).checked_sub(heights.len() as Height).ok_or(broken)?;
        let in_order = heights
            .iter()
            .zip(first..)
            .all(|((height, undo), expected)| *height == expected && undo.decided.height() == expected);
        let ends_at_tip = heights.last().is_none_or(|(_, undo)| undo.decided.hash() == tip.hash);
        if !in_order || !ends_at_tip || heights.len() > limit {
            return Err(broken);
        }
        let mut log = Self { heights: heights.into_iter().collect(), limit };
        log.forget();
        Ok(log)
    }

    pub(super) fn get(&self, height: Height) -> Option<&Undo> {
        self.heights.get(&height)
    }

    pub(super) fn oldest(&self) -> Option<Height> {
        self.heights.keys().next().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Height, &Undo)> {
        self.heights.iter().map(|(height, undo)| (*height, undo))
    }

    pub(super) fn push(&mut self, height: Height, undo: Undo) {
        self.heights.insert(height, undo);
        self.forget();
    }

    pub(super) fn certified(&mut self, height: Height) {
        if let Some(undo) = self.heights.get_mut(&height) {
            undo.certified = true;
            self.forget();
        }
    }

    /// Takes out everything from `height` on, latest first.
    pub(super) fn split_off(
        &mut self,
        height: Height,
        tip: Height,
    ) -> Result<impl Iterator<Item = Undo> + use<>, CannotUndo> {
        let oldest = self.oldest();
        if oldest.is_none_or(|oldest| height < oldest) || height > tip {
            return Err(CannotUndo { height, oldest });
        }
        let undone = self.heights.split_off(&height);
        self.forget();
        Ok(undone.into_values().rev())
    }

    fn forget(&mut self) {
        while self.heights.len() > self.limit
            || self.heights.values().next().is_some_and(|undo| undo.certified)
        {
            self.heights.pop_first();
        }
    }
}
