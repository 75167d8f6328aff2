//! Known peers: who is known, from where, and whom to meet next.

mod source;

pub use source::Source;

/// Longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;
