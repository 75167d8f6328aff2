//! libp2p behaviours that only translate between the swarm and the machines of the protocol crate.
//!
//! Nothing here knows what a message says: bytes go in and out, bounded and in order.
//!
//! - [`channel`]: a long-lived ordered substream each way; consensus and transactions travel on it.
//! - [`exchange`]: bounded requests and responses; handshake and sync travel on it.
//! - [`rendezvous`]: what is asked of trackers. [`tracker`]: what a tracker answers.
//!   [`gathering`]: the swarm of parties who have no network yet.
//! - [`address_blocks`]: bounds on connections from one place.
//! - [`discovery`]: a Kademlia table and mDNS. [`nat`]: relays, hole punching, AutoNAT, UPnP.
//! - [`announcements`]: gossipsub behind a gate; announcements of local programs travel on it.
//! - [`behaviour`]: the composition. [`swarm`]: the transports around it.
//! - [`public_swarm`]: what is spoken with other people's libp2p swarms.

pub mod address_blocks;
mod addresses;
pub mod announcements;
pub mod behaviour;
pub mod channel;
pub mod discovery;
pub mod exchange;
pub mod gathering;
pub mod nat;
pub mod public_swarm;
pub mod rendezvous;
pub mod swarm;
pub mod tracker;

pub use behaviour::{Behaviour, BehaviourEvent, Config};
pub use swarm::{SwarmError, build_swarm};
