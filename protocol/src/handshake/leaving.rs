//! The goodbye: peers are told, and given a moment to acknowledge it.

use super::{event::Event, machine::Handshake, message::Request, state::Leaving};
use crate::{peer::Peer, time::Time};

impl Handshake {
    pub(super) fn leave(&mut self, now: Time) {
        let established: Vec<Peer> =
            self.peers.iter().filter(|(_, state)| state.role.is_some()).map(|(peer, _)| *peer).collect();
        for peer in established {
            let number = self.request(peer, Request::Goodbye);
            self.goodbyes.insert(number, peer);
        }
        self.leaving = Leaving::Until(now + self.config.goodbye_timeout);
        self.finish_leaving(now);
    }

    pub(super) fn finish_leaving(&mut self, now: Time) {
        if let Leaving::Until(until) = self.leaving
            && (self.goodbyes.is_empty() || until <= now)
        {
            self.leaving = Leaving::Done;
            self.emit(Event::Left);
        }
    }
}
