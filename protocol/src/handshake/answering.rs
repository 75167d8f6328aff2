//! The listener: requests of peers and what they are answered.

use super::{
    machine::Handshake,
    message::{Hello, RefusalReason, Request, Response},
    state::Step,
};
use crate::{machine::Output, peer::Peer, penalty::Penalty, time::Time};

impl Handshake {
    pub(super) fn receive_request(&mut self, peer: Peer, number: u64, request: Request, now: Time) {
        let Some(step) = self.peers.get(&peer).map(|state| state.step.clone()) else {
            let reason = if self.is_kept_out(&peer, now) {
                RefusalReason::KeptOut
            } else {
                RefusalReason::UnexpectedMessage
            };
            return self.respond(peer, number, Response::Refused(reason));
        };
        match (request, step) {
            (Request::Hello(hello), step) => self.receive_hello(peer, number, hello, step, now),
            (Request::Proof { signature }, Step::AwaitProof(hello)) => {
                if let Err(reason) = self.check_proof(peer, &hello, &signature) {
                    return self.refuse(peer, Some(number), reason);
                }
                self.answer_proof(peer, number, &hello);
                self.advance(peer, Step::AwaitDone(hello, signature), now);
            }
            // Sent again, because the answer was lost with its connection.
            (Request::Proof { signature }, Step::AwaitDone(hello, seen)) if signature == seen => {
                self.answer_proof(peer, number, &hello);
            }
            (Request::Done, Step::AwaitDone(hello, _)) => {
                if let Err(reason) = self.check_free(peer, hello.role) {
                    return self.refuse(peer, Some(number), reason);
                }
                self.respond(peer, number, Response::Done);
                self.establish(peer, hello, now);
            }
            (Request::Done, Step::Established(_)) => self.respond(peer, number, Response::Done),
            (Request::Refused(reason), _) => {
                self.respond(peer, number, Response::Done);
                self.refused_by_them(peer, reason);
            }
            (Request::Goodbye, _) => {
                self.respond(peer, number, Response::Done);
                self.restart(peer, now);
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.is_over = true;
                }
            }
            (Request::Proof { .. } | Request::Done, _) => {
                self.refuse(peer, Some(number), RefusalReason::UnexpectedMessage);
            }
        }
    }

    /// A `Hello` begins the handshake, unless it crossed ours, was sent again, or comes when one is under way.
    fn receive_hello(&mut self, peer: Peer, number: u64, hello: Hello, step: Step, now: Time) {
        let Some(state) = self.peers.get(&peer) else { return };
        let (challenge, is_known, deadline) =
            (state.challenge, state.theirs == Some(hello.challenge), state.deadline);
        match step {
            Step::AwaitProof(_) if is_known => {
                let answer = self.hello(challenge);
                return self.respond(peer, number, Response::Hello(answer));
            }
            // Both speak first: the smaller identifier does, and the other takes back what it said.
            Step::SentHello(_) if self.config.peer < peer => {
                return self.respond(peer, number, Response::Done);
            }
            _ if is_known => return self.respond(peer, number, Response::Done),
            Step::AwaitHello | Step::SentHello(_) => {}
            _ => {
                self.outputs.push_back(Output::Penalize(peer, Penalty::slight("a second hello")));
                self.restart(peer, now);
            }
        }
        if let Err(reason) = self.check_hello(peer, &hello) {
            return self.refuse(peer, Some(number), reason);
        }
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.theirs = Some(hello.challenge);
        let is_second = matches!(step, Step::AwaitProof(_) | Step::AwaitDone(..));
        let challenge = state.challenge;
        let answer = self.hello(challenge);
        self.respond(peer, number, Response::Hello(answer));
        self.advance(peer, Step::AwaitProof(hello), now);
        if let Some(state) = self.peers.get_mut(&peer)
            && is_second
        {
            // Hellos without end do not keep a connection open.
            state.deadline = deadline;
        }
    }

    fn answer_proof(&mut self, peer: Peer, number: u64, hello: &Hello) {
        let signature = self.my_proof(peer, hello);
        self.respond(peer, number, Response::Proof { signature });
    }
}
