//! The rules one by one ([`rules`]), and whole networks in virtual time ([`networks`]).

#![allow(clippy::unwrap_used)]

mod bodies;
mod lab;
mod laws;
mod networks;
mod regressions;
mod restarts;
mod rules;
