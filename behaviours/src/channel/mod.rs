//! A channel: one long-lived substream each way between two nodes, with length-delimited frames.
//!
//! ```text
//! open(peer) ─► outbound substreams are negotiated ─► Event::Opened
//! send(peer, frame) ─► queue ─► small frames on one substream, bulk frames on another
//! inbound substreams are accepted at once but read only while the channel is open; until then ─► Event::Early
//! close(peer) ─► all substreams are dropped
//! ```
//! A channel is *gated*: until the handshake with a peer is done nothing is read from it, and the flow control of
//! the connection holds back what it sends; nothing is lost by that, for a peer may be done a moment earlier. Whether
//! that can be so is for the user to know, who otherwise closes the gate again. Frames of one kind keep their order. Bulk
//! frames travel on their own substream, so that a block of megabytes delays no vote.
//!
//! A frame is a length (u32, big-endian) and that many bytes. What was queued when a connection breaks may be
//! lost: [`Event::Opened`] comes again for the connection that takes over, and the users then resend.

mod behaviour;
mod frame;
mod handler;
mod lane;

pub use behaviour::{Behaviour, Config, Event, SendError};
pub use frame::{FrameError, FrameReader};
