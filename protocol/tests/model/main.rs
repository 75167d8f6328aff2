//! Model checking: every run of a small network, as far as the budget of the liar goes.
//!
//! The honest nodes run [`conclave_protocol::consensus::Consensus`] itself. What is modelled and what is left out is
//! in `docs/model-checking.md`; the model is [`network`], the liar [`moves`], what has to hold [`properties`].
//!
//! `CONCLAVE_MODEL_MINUTES=20 cargo test --release -p conclave-protocol --test model -- --nocapture far` goes on with
//! larger budgets for as long, and says how far it came.

#![allow(clippy::unwrap_used)]
// The clock says how long an exploration took and may take; nothing in the model reads it.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod game;
mod moves;
mod network;
mod nodes;
mod properties;
mod tests;
