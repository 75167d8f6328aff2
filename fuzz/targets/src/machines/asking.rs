//! What subjects have in common whose machines ask peers and are asked.

use super::admission::any_peer;
use crate::{draw::below, laws::Subject};
use arbitrary::Unstructured;
use conclave_protocol::{
    machine::{Input, Machine},
    time::Time,
};

/// A subject that is made of what its peers say and of what its node wants.
pub(super) trait Asking: Subject {
    /// Something that a peer says, if the bytes are enough for it.
    fn received(&mut self, source: &mut Unstructured<'_>) -> Option<Input<Self::Machine>>;

    /// Something that the node wants.
    fn command(&mut self, source: &mut Unstructured<'_>, now: Time) -> <Self::Machine as Machine>::Command;

    /// One input of any of the four kinds.
    fn any_input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let input = match below(source, 8) {
            0 => Some(Input::Connected(any_peer(source))),
            1 => Some(Input::Disconnected(any_peer(source))),
            2..5 => self.received(source),
            _ => Some(Input::Command(self.command(source, now))),
        };
        if let Some(input) = input {
            self.machine().handle(input, now);
        }
    }
}
