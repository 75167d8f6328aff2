//! Reaching nodes that cannot be dialled, because a router translates their addresses (NAT) or a firewall is in the way.
//!
//! - **Relay client** (circuit v2): a node behind NAT reserves a place at a relay and can then be dialled at the relay's
//!   address with `/p2p-circuit`; the same switch lets a node dial such addresses. Traffic is encrypted from end to end.
//! - **Relay server**: this node is a relay for others, within [`relay_server_config`]'s bounds.
//! - **Hole punching** (DCUtR): over the relayed connection both sides agree to dial each other at the same moment; if a
//!   direct connection comes of it, it takes the relayed one's place.
//! - **AutoNAT** (v2): other nodes dial this one back, to find out which of its addresses really work; those count as
//!   external from then on. A node with the switch on answers others' questions too.
//! - **UPnP**: asks the router for a port.
//!
//! Each is a switch, and off unless it is asked for.

pub mod behaviour;

pub use behaviour::{Behaviour, BehaviourEvent, Switches, relay_server_config};
