//! Known peers: who is known, from where, and whom to meet next.

mod source;

pub use source::Source;
