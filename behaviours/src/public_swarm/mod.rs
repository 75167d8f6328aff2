//! Other people's swarms: what a program speaks that joins one as an ordinary peer.
//!
//! Nothing of Conclave's own protocols is here. The peer says who it is (identify), answers and sends pings, and, where
//! it is asked to, takes part in a Kademlia table under that swarm's protocol name and in gossipsub topics.
//!
//! What strangers can make it hold is bounded: connections ([`MAX_CONNECTIONS`]), addresses that are kept of one peer
//! ([`MAX_ADDRESSES_PER_PEER`]), and the size of a message ([`MAX_MESSAGE_BYTES`]); libp2p itself bounds identify (4 KiB)
//! and the routing table (20 peers for each of 256 distances).

pub mod behaviour;
pub mod learning;

pub use behaviour::{
    Behaviour, BehaviourEvent, Config, MAX_CONNECTIONS, MAX_MESSAGE_BYTES, Messages, Ping, build,
};
pub use learning::MAX_ADDRESSES_PER_PEER;
