//! Whole nodes as they are wired, in virtual time.

#![allow(clippy::unwrap_used)]

mod blocks;
mod restarts;
mod world;
