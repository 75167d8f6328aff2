//! The API is tested by what it answers, over sockets, on a node that decides at once.
#![allow(clippy::unwrap_used)]

mod access;
mod announcing;
mod connecting;
mod document;
mod node;
mod queries;
mod streams;
mod submission;
