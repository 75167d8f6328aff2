//! The ledger: a deterministic state machine over decided blocks. Same blocks, same state, on every node.
//!
//! Nothing here names a network, a file or a clock, and no randomness is drawn: time comes in as an argument, keys
//! and randomness through constructors. That is checked when the project is linted (`clippy.toml`).
//!
//! - What is written: [`codec`] (canonical CBOR), [`bytes`], [`hash`], [`keys`], [`merkle`].
//! - Who decides: [`genesis`]; [`validators`], [`rotation`], [`signed`], [`proof`]; or [`proof_of_work`].
//! - What is decided: [`transaction`], [`block`], [`chain`]; what waits for it: [`pool`].
//! - What it means: [`applications`] over [`state`] (with its [`hash_tree`]), [`tally`].

pub mod applications;
pub mod block;
pub mod bytes;
pub mod chain;
pub mod codec;
pub mod genesis;
pub mod hash;
pub mod hash_tree;
pub mod keys;
pub mod merkle;
pub mod pool;
pub mod proof;
pub mod proof_of_work;
pub mod rotation;
pub mod signed;
pub mod state;
pub mod tally;
pub mod transaction;
pub mod validators;
