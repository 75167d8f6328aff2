//! The program among other people's peers: processes on loopback, told apart by their lines of JSON.
//!
//! `ourselves.rs`: `conclave probe` and `conclave swarm` with each other. `python.rs`: with py-libp2p, where a Python
//! environment is there that has it (`.ci/run` makes one), else those tests say that they are skipped.

#![allow(clippy::unwrap_used)]

mod ourselves;
mod process;
mod python;
