//! The dialer: what it asks, and the end of a handshake on either side.

use super::{
    event::Event,
    machine::Handshake,
    message::{Hello, Request, Response},
    state::Step,
};
use crate::{peer::Peer, peer_record::PeerRecord, time::Time};

impl Handshake {
    pub(super) fn receive_response(&mut self, peer: Peer, number: u64, response: Response, now: Time) {
        if self.goodbyes.remove(&number).is_some() {
            return;
        }
        let Some(step) = self.peers.get(&peer).map(|state| state.step.clone()) else { return };
        match (response, step) {
            (Response::Hello(hello), Step::SentHello(sent)) if sent == number => {
                if let Err(reason) = self.check_hello(peer, &hello) {
                    return self.refuse(peer, None, reason);
                }
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.theirs = Some(hello.challenge);
                }
                let signature = self.my_proof(peer, &hello);
                let sent = self.request(peer, Request::Proof { signature });
                self.advance(peer, Step::SentProof(sent, hello), now);
            }
            (Response::Proof { signature }, Step::SentProof(sent, hello)) if sent == number => {
                if let Err(reason) = self.check_proof(peer, &hello, &signature) {
                    return self.refuse(peer, None, reason);
                }
                let sent = self.request(peer, Request::Done);
                self.advance(peer, Step::SentDone(sent, hello), now);
            }
            (Response::Done, Step::SentDone(sent, hello)) if sent == number => {
                match self.check_free(peer, hello.role) {
                    Ok(()) => self.establish(peer, hello, now),
                    Err(reason) => self.refuse(peer, None, reason),
                }
            }
            (
                Response::Refused(reason),
                Step::SentHello(sent) | Step::SentProof(sent, _) | Step::SentDone(sent, _),
            ) if sent == number => self.refused_by_them(peer, reason),
            // An answer to what was asked before the handshake began anew, or to a notice.
            _ => {}
        }
    }

    pub(super) fn establish(&mut self, peer: Peer, hello: Hello, now: Time) {
        self.advance(peer, Step::Established(hello.clone()), now);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.connections.is_empty() {
            // The last message outlived its connection: it counts when the next connection is there.
            return;
        }
        state.role = Some(hello.role);
        let direction = state.latest.direction;
        self.dialling.established(&peer, now);
        let Hello { role, height, version, record, .. } = hello;
        // It was checked when it came.
        let record = record.and_then(|record| PeerRecord::decode(&record.0).ok());
        self.emit(Event::Established { peer, role, direction, record, height, version });
    }
}
