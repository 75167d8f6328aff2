//! The ledger's state: an ordered map of byte strings, its hash, and views that change it on trial.
//!
//! Applications read and write through a [`View`], which lays their changes over the state without touching it.
//! A checked block's changes are kept as [`Changes`] and applied once the block is decided; applying returns the
//! changes that undo them. The hash of the state is the root of a [`HashTree`] over all entries except those
//! under [`UNHASHED`], which follow from the chain's last heights alone.

use crate::{
    codec::{self, DecodeError},
    hash::Hash,
    hash_tree::HashTree,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, ops::Bound};

/// Prefix of the entries that the state hash leaves out: the ids of transactions that have not expired, which are
/// already bound by the hashes of the blocks that hold them.
pub const UNHASHED: &[u8] = b"seen/";

/// Entries to set (`Some`) and to remove (`None`), by key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key: the name of the application's table and the parts of fixed length that follow.
pub fn key(table: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(table.len() + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(table.as_bytes());
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The state after the last decided height.
#[derive(Default)]
pub struct State {
    entries: BTreeMap<Box<[u8]>, Box<[u8]>>,
    tree: HashTree,
}

impl State {
    /// The state with these entries, as [`State::entries`] gave them.
    pub fn restore(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut state = Self::default();
        state.apply(entries.into_iter().map(|(key, value)| (key, Some(value))).collect());
        state
    }

    /// All entries in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Applies changes and returns those that undo them.
    pub fn apply(&mut self, changes: Changes) -> Changes {
        let mut undo = Changes::new();
        for (key, value) in changes {
            let hashed = !key.starts_with(UNHASHED);
            let before = match value {
                Some(value) => {
                    if hashed {
                        self.tree.insert(&key, &value);
                    }
                    self.entries.insert(key.as_slice().into(), value.into())
                }
                None => {
                    if hashed {
                        self.tree.remove(&key);
                    }
                    self.entries.remove(key.as_slice())
                }
            };
            undo.insert(key, before.map(Vec::from));
        }
        undo
    }

    /// The hash of the state.
    pub fn root(&mut self) -> Hash {
        Hash(self.tree.root())
    }

    /// A view without changes.
    pub fn view(&self) -> View<'_> {
        View { state: self, changes: Changes::new() }
    }
}

/// The state with changes laid over it.
pub struct View<'a> {
    state: &'a State,
    changes: Changes,
}

impl View<'_> {
    /// The bytes at `key`.
    pub fn bytes(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(changed) => changed.as_deref(),
            None => self.state.entries.get(key).map(AsRef::as_ref),
        }
    }

    /// Whether there is an entry at `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.bytes(key).is_some()
    }

    /// The value at `key`, which was written by [`View::put`] with the same type.
    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Option<T> {
        self.bytes(key).map(|bytes| {
            cbor4ii::serde::from_slice(bytes).expect("a table of the state holds values of one type only")
        })
    }

    /// The value at `key` in a state that somebody else may have written: `what` names it in the error.
    ///
    /// # Errors
    /// When there is none, or it is of another shape.
    pub fn checked<T: Serialize + DeserializeOwned>(&self, key: &[u8], what: &str) -> Result<T, DecodeError> {
        let malformed = |reason: String| DecodeError::Malformed(format!("{what} in the state: {reason}"));
        let bytes = self.bytes(key).ok_or_else(|| malformed("there is none".into()))?;
        codec::decode(bytes, bytes.len()).map_err(|error| malformed(error.to_string()))
    }

    /// Sets the value at `key`.
    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        let bytes = codec::encode(value);
        if self.bytes(&key) != Some(&bytes) {
            self.changes.insert(key, Some(bytes));
        }
    }

    /// Removes the entry at `key`.
    pub fn remove(&mut self, key: &[u8]) {
        if self.contains(key) {
            self.changes.insert(key.to_vec(), None);
        }
    }

    /// Entries whose key begins with `prefix`, ascending.
    pub fn prefix<'v>(&'v self, prefix: &'v [u8]) -> impl Iterator<Item = (&'v [u8], &'v [u8])> {
        let from = Bound::Included(prefix);
        let mut stored = self
            .state
            .entries
            .range::<[u8], _>((from, Bound::Unbounded))
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
            .take_while(|(key, _): &(&[u8], &[u8])| key.starts_with(prefix))
            .peekable();
        let mut changed = self
            .changes
            .range::<[u8], _>((from, Bound::Unbounded))
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
            .take_while(|(key, _)| key.starts_with(prefix))
            .peekable();
        std::iter::from_fn(move || {
            loop {
                let take_changed = match (stored.peek(), changed.peek()) {
                    (Some((stored_key, _)), Some((changed_key, _))) => changed_key <= stored_key,
                    (None, None) => return None,
                    (_, changed_entry) => changed_entry.is_some(),
                };
                if !take_changed {
                    return stored.next();
                }
                let (key, value) = changed.next()?;
                if stored.peek().is_some_and(|(stored_key, _)| *stored_key == key) {
                    stored.next();
                }
                if let Some(value) = value {
                    return Some((key, value));
                }
            }
        })
    }

    /// The changes made through this view.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(view: &View<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        view.prefix(b"t/").map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn a_view_shows_its_changes_in_order_and_leaves_the_state_alone() {
        let pair = |name: &str, value: u8| (format!("t/{name}").into_bytes(), codec::encode(&value));
        let mut state = State::restore([pair("a", 1), pair("c", 3), pair("d", 4), (b"u/".to_vec(), vec![])]);
        let root = state.root();
        let mut view = state.view();
        view.put(b"t/b".to_vec(), &2u8);
        view.put(b"t/c".to_vec(), &33u8);
        view.remove(b"t/d");
        view.remove(b"t/never-there");
        assert_eq!(entries(&view), [pair("a", 1), pair("b", 2), pair("c", 33)]);
        assert_eq!(view.get::<u8>(b"t/c"), Some(33));
        let changes = view.into_changes();
        assert_eq!(changes.len(), 3);
        assert_eq!(state.root(), root);
        let undo = state.apply(changes);
        assert_ne!(state.root(), root);
        state.apply(undo);
        assert_eq!(state.root(), root);
        assert_eq!(entries(&state.view()), [pair("a", 1), pair("c", 3), pair("d", 4)]);
    }

    #[test]
    fn the_hash_leaves_out_remembered_transaction_ids_only() {
        let mut empty = State::default();
        let mut seen = State::restore([(b"seen/x".to_vec(), vec![])]);
        let mut other = State::restore([(b"sees/x".to_vec(), vec![])]);
        assert_eq!(empty.root(), seen.root());
        assert_ne!(empty.root(), other.root());
    }
}
