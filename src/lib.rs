//! The node: everything with files, environment and wall clock, around the pure crates.
//!
//! - [`node`]: the running node. [`storage`]: its disks. [`config`], [`keys`], [`genesis_file`]: its files.
//! - [`api`]: HTTP for local programs. [`client`]: the other end of it. [`gossip_api`]: announcements for them.
//! - [`chat`]: what people say to everybody.
//! - [`archive`]: exports, and their verification without a node. [`preflib`]: elections from PrefLib.
//! - [`tracker`]: the program as a tracker and nothing else. [`trackers`]: when a node asks which tracker.
//! - [`gathering`]: parties without a network make one.
//! - [`cli`]: the command line.

pub mod api;
pub mod archive;
pub mod chat;
pub mod cli;
pub mod client;
pub mod config;
pub mod gathering;
pub mod genesis_file;
pub mod gossip_api;
pub mod keys;
pub mod node;
pub mod preflib;
pub mod storage;
pub mod tracker;
pub mod trackers;
