//! Announcements: only peers that take part, and whose admission is settled, are heard.

use super::{Clock, Effect, Node};
use crate::{
    announcements::{Command, Event, Message, Verdict},
    machine::{Input, Machine, Output},
    peer::Peer,
};

impl Node {
    /// What gossipsub brings. Its gate is opened by [`Effect::OpenAnnouncements`], so a peer that does not take part is one
    /// that has just been lost; every message is answered all the same.
    pub(super) fn receive_announcement(&mut self, peer: Peer, message: Message, clock: Clock) {
        if self.peers.contains_key(&peer) {
            self.announcements.handle(Input::Received(peer, message), clock.time);
        } else if let Message::First { id, .. } = message {
            let event = Event::Verdict { id, peer, verdict: Verdict::Drop };
            self.effects.push_back(Effect::Announcements(event));
        }
    }

    /// Subscriptions of local modules, each module and type counted.
    pub fn module_subscriptions(&self) -> usize {
        self.announcements.subscriptions()
    }

    /// What a module wants.
    pub(super) fn module_command(&mut self, command: Command, clock: Clock) {
        self.announcements.handle(Input::Command(command), clock.time);
    }

    /// Carries out what the machine wants; true if there was anything.
    pub(super) fn drain_announcements(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.announcements.poll_output() {
            any = true;
            match output {
                // It publishes; gossipsub knows to whom.
                Output::Send(..) => {}
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.effects.push_back(Effect::Announcements(event)),
            }
        }
        any
    }
}
