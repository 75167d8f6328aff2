//! Nodes that mine, in a network that a test holds in its hands; liars among them; the laws of machines.

mod lab;
mod laws;
mod lies;
mod miners;
mod silence;
mod spreading;
