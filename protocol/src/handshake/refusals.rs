//! Refusing, being refused, and peers that speak something else.

use super::{
    event::{Event, RefusedBy},
    machine::Handshake,
    message::{RefusalReason, Request, Response},
    state::Step,
};
use crate::{machine::Output, peer::Peer, penalty::Penalty};

impl Handshake {
    /// The peer does not speak this handshake. What it speaks instead comes with its identification, so that is
    /// waited for as long as an answer would have been.
    pub(super) fn unsupported(&mut self, peer: Peer, number: u64) {
        if let Some(state) = self.peers.get_mut(&peer)
            && state.step == Step::SentHello(number)
        {
            state.is_unsupported = true;
        }
    }

    pub(super) fn other_network(&mut self, peer: Peer) {
        if self.peers.get(&peer).is_some_and(|state| state.role.is_none() && !state.is_over) {
            self.emit(Event::Refused { peer, reason: RefusalReason::WrongNetwork, by: RefusedBy::Us });
            self.close(peer, &RefusalReason::WrongNetwork.to_string());
        }
    }

    pub(super) fn refuse(&mut self, peer: Peer, number: Option<u64>, reason: RefusalReason) {
        match number {
            Some(number) => self.respond(peer, number, Response::Refused(reason)),
            None => {
                self.request(peer, Request::Refused(reason));
            }
        }
        self.emit(Event::Refused { peer, reason, by: RefusedBy::Us });
        let penalty = match reason {
            RefusalReason::FalseClaim | RefusalReason::ForeignKey | RefusalReason::ForeignRecord => {
                Some(Penalty::fatal(reason.to_string()))
            }
            RefusalReason::UnexpectedMessage | RefusalReason::MalformedHello => {
                Some(Penalty::serious(reason.to_string()))
            }
            _ => None,
        };
        if let Some(penalty) = penalty {
            self.outputs.push_back(Output::Penalize(peer, penalty));
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            // The answer is given the time to get there; the other side closes too.
            state.deadline = None;
        }
        self.close(peer, &reason.to_string());
    }

    pub(super) fn refused_by_them(&mut self, peer: Peer, reason: RefusalReason) {
        if matches!(reason, RefusalReason::Full | RefusalReason::NotNeeded) {
            self.dialling.unwelcome(&peer);
        }
        self.emit(Event::Refused { peer, reason, by: RefusedBy::Them });
        self.close(peer, &format!("refused by the peer: {reason}"));
    }
}
