//! The gossip API: a TCP socket through which any local program ("module") announces data to the network and is
//! notified of what others announce. The format is that of the course "Peer-to-Peer Systems and Security", so that
//! programs written for it work unchanged; `docs/gossip-api.md` is the page for their authors.
//!
//! ```text
//!                 ┌─ validations ──► first  ┐
//!  module ── read ┤                         ├─► the node's loop ──► announcements machine
//!                 └─ commands ─────► then   ┘          │
//!  module ◄─ write ◄── outbox, bounded ◄───────────────┘
//! ```
//! - [`message`]: the bytes. `connection.rs`: one module. [`server`]: the socket. [`outbox`]: what waits for a module.
//! - [`client`]: the other end, for `conclave gossip`.
//!
//! A module that breaks the format, falls behind with reading, or answers what it was not asked, loses its connection
//! and nothing else; the reason is in the log. Whoever reaches the socket can use it.

pub mod client;
mod connection;
pub mod message;
pub mod outbox;
pub mod server;

pub use connection::FromConnection;
pub use server::Intake;
