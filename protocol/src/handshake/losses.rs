//! Requests that were lost, perhaps with one of two connections: they are sent again, so often at most.

use super::{machine::Handshake, message::Request, state::Step};
use crate::peer::Peer;

/// How often in one handshake a request is sent again that was lost with its connection.
const MAX_RESENT: u32 = 8;

impl Handshake {
    /// A request was lost, perhaps with one of two connections; the deadline of the step stays.
    pub(super) fn request_failed(&mut self, peer: Peer, number: u64) {
        self.goodbyes.remove(&number);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let (Step::SentHello(sent) | Step::SentProof(sent, _) | Step::SentDone(sent, _)) = state.step else {
            return;
        };
        if sent != number {
            return;
        }
        if state.connections.is_empty() {
            state.is_unsent = true;
        } else {
            self.send_again(peer);
        }
    }

    /// Sends the request of the present step again, with a new number.
    pub(super) fn send_again(&mut self, peer: Peer) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.resent >= MAX_RESENT {
            return;
        }
        state.resent += 1;
        let (challenge, step) = (state.challenge, state.step.clone());
        let step = match step {
            Step::SentHello(_) => {
                let hello = self.hello(challenge);
                Step::SentHello(self.request(peer, Request::Hello(hello)))
            }
            Step::SentProof(_, hello) => {
                let signature = self.my_proof(peer, &hello);
                Step::SentProof(self.request(peer, Request::Proof { signature }), hello)
            }
            Step::SentDone(_, hello) => Step::SentDone(self.request(peer, Request::Done), hello),
            other => other,
        };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.step = step;
        }
    }
}
