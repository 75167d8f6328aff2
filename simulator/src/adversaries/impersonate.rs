//! Impersonate: it claims another validator's key to one node, and shows it a proof that it made the other one give.
//!
//! It is the man in the middle of a challenge and its response. The *victim* is the first node to which it speaks; the *model* is a
//! validator whose key it claims there. To the others it is itself, but the challenge that it hands them is the victim's; the
//! model's proof over it is handed on. What it needs for that it holds back for a while: its own hello to the others until the
//! victim's challenge is here, and its claim to a victim that spoke first until it knows its model.
//!
//! A proof names both peers, so this one is not good at the victim's: it says so, and keeps the liar out. The model and its
//! like are lost to the liar too, whose node does not know the challenge that they signed. It tries this once in its life.

use super::{Adversary, Moment};
use conclave_ledger::{
    codec,
    hash::Hash,
    keys::{PublicKey, Signature},
};
use conclave_protocol::{
    handshake::{Hello, MAX_MESSAGE_BYTES, Request, Response, Role},
    node::{Effect, Input, Protocol},
    peer::Peer,
    time::Time,
};
use std::time::Duration;

/// How long it holds back what it says; others wait for an answer about twice as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most messages that it holds back; the rest is said as it is.
const MAX_HELD: usize = 64;

/// A message of the handshake that matters here.
enum Said {
    Hello(Hello),
    Proof(Signature),
}

impl Said {
    fn of_request(bytes: &[u8]) -> Option<Self> {
        match codec::decode(bytes, MAX_MESSAGE_BYTES).ok()? {
            Request::Hello(hello) => Some(Self::Hello(hello)),
            Request::Proof { signature } => Some(Self::Proof(signature)),
            _ => None,
        }
    }

    fn of_response(bytes: &[u8]) -> Option<Self> {
        match codec::decode(bytes, MAX_MESSAGE_BYTES).ok()? {
            Response::Hello(hello) => Some(Self::Hello(hello)),
            Response::Proof { signature } => Some(Self::Proof(signature)),
            _ => None,
        }
    }

    /// What an effect says, to whom, and whether it is an answer.
    fn leaving(effect: &Effect) -> Option<(Peer, Self, bool)> {
        match effect {
            Effect::Request { peer, protocol: Protocol::Handshake, bytes, .. } => {
                Some((*peer, Self::of_request(bytes)?, false))
            }
            Effect::Respond { peer, protocol: Protocol::Handshake, bytes, .. } => {
                Some((*peer, Self::of_response(bytes)?, true))
            }
            _ => None,
        }
    }

    /// What an input says, and who.
    fn arriving(input: &Input) -> Option<(Peer, Self)> {
        match input {
            Input::Request { peer, protocol: Protocol::Handshake, bytes, .. } => {
                Some((*peer, Self::of_request(bytes)?))
            }
            Input::Response { peer, protocol: Protocol::Handshake, bytes, .. } => {
                Some((*peer, Self::of_response(bytes)?))
            }
            _ => None,
        }
    }

    /// The same effect with this in the place of what it said.
    fn instead(self, effect: Effect) -> Effect {
        match effect {
            Effect::Request { peer, protocol, number, .. } => {
                let request = match self {
                    Self::Hello(hello) => Request::Hello(hello),
                    Self::Proof(signature) => Request::Proof { signature },
                };
                Effect::Request { peer, protocol, number, bytes: codec::encode(&request) }
            }
            Effect::Respond { peer, protocol, number, .. } => {
                let response = match self {
                    Self::Hello(hello) => Response::Hello(hello),
                    Self::Proof(signature) => Response::Proof { signature },
                };
                Effect::Respond { peer, protocol, number, bytes: codec::encode(&response) }
            }
            other => other,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Impersonate {
    victim: Option<Peer>,
    /// The victim's challenge.
    challenge: Option<Hash>,
    /// The key that it claims at the victim's.
    model: Option<PublicKey>,
    /// Who holds that key, once it has shown.
    model_peer: Option<Peer>,
    /// The model's proof over the victim's challenge.
    proof: Option<Signature>,
    held: Vec<Effect>,
    give_up_at: Option<Time>,
    is_over: bool,
}

impl Impersonate {
    fn hold(&mut self, effect: Effect, at: &Moment<'_>) -> Vec<Effect> {
        self.give_up_at.get_or_insert(at.now() + PATIENCE);
        if self.held.len() >= MAX_HELD {
            return vec![effect];
        }
        self.held.push(effect);
        Vec::new()
    }

    /// Says what was held back as far as it can be said by now.
    fn release(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().flat_map(|effect| self.say(effect, at)).collect()
    }

    fn say(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, said, is_answer)) = Said::leaving(&effect).filter(|_| !self.is_over) else {
            return vec![effect];
        };
        let is_victim = *self.victim.get_or_insert(peer) == peer;
        match said {
            Said::Hello(hello) if is_victim => {
                if self.model.is_none() && !is_answer {
                    // Nobody has shown which key it has: one of them will do.
                    self.model = self.some_other_key(at);
                }
                match self.model {
                    Some(model) => {
                        vec![Said::Hello(Hello { role: Role::Validator(model), ..hello }).instead(effect)]
                    }
                    None => self.hold(effect, at),
                }
            }
            Said::Hello(hello) => match self.challenge {
                Some(challenge) => vec![Said::Hello(Hello { challenge, ..hello }).instead(effect)],
                None => self.hold(effect, at),
            },
            Said::Proof(_) if is_victim => match self.proof {
                Some(proof) => {
                    self.is_over = true;
                    vec![Said::Proof(proof).instead(effect)]
                }
                None => self.hold(effect, at),
            },
            Said::Proof(_) => vec![effect],
        }
    }

    fn some_other_key(&self, at: &mut Moment<'_>) -> Option<PublicKey> {
        let set = at.set();
        let keys: Vec<PublicKey> = set.members.iter().map(|member| member.validator.key).collect();
        let others: Vec<PublicKey> = keys.into_iter().filter(|key| *key != at.key.public()).collect();
        at.pick(&others)
    }

    /// Takes note of what others say of themselves.
    fn hear(&mut self, peer: Peer, said: Said, at: &Moment<'_>) {
        let is_victim = *self.victim.get_or_insert(peer) == peer;
        match said {
            Said::Hello(hello) if is_victim => {
                self.challenge = Some(hello.challenge);
                // It claims the victim's own key to the victim: that is hopeless.
                self.is_over |= self.model == Some(hello.role.key());
            }
            Said::Hello(hello) => {
                let key = hello.role.validator().filter(|key| *key != at.key.public());
                // Only who has not been handed another challenge can be the model.
                if self.model.is_none() && self.challenge.is_some() {
                    self.model = key;
                }
                if self.model.is_some() && self.model == key {
                    self.model_peer = Some(peer);
                }
            }
            Said::Proof(signature) if self.model_peer == Some(peer) => self.proof = Some(signature),
            Said::Proof(_) => {}
        }
    }
}

impl Adversary for Impersonate {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        self.say(effect, at)
    }

    fn overhear(&mut self, input: &Input, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, said)) = Said::arriving(input).filter(|_| !self.is_over) else { return Vec::new() };
        self.hear(peer, said, at);
        self.release(at)
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.give_up_at
    }

    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        if self.give_up_at.is_none_or(|due| at.now() < due) {
            return Vec::new();
        }
        (self.give_up_at, self.is_over) = (None, true);
        self.release(at)
    }
}
