//! Tests of the gathering machine.

mod agreeing;
mod failing;
mod laws;
mod lying;
mod world;
