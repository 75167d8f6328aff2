//! What a peer says and proves, checked.

use super::{
    machine::Handshake,
    message::{Hello, MAX_VERSION_BYTES, RefusalReason, Role},
};
use crate::{peer::Peer, peer_record::PeerRecord};
use conclave_ledger::{
    bytes::Bytes,
    hash::Hash,
    keys::{PublicKey, Signature},
};

impl Handshake {
    /// Checks a `Hello`; for another network or a malformed one the reason of the refusal.
    pub(super) fn check_hello(&self, peer: Peer, hello: &Hello) -> Result<(), RefusalReason> {
        if hello.network != self.config.network {
            return Err(RefusalReason::WrongNetwork);
        }
        let too_long = hello.version.len() > MAX_VERSION_BYTES || hello.version.chars().any(char::is_control);
        if too_long {
            return Err(RefusalReason::MalformedHello);
        }
        if let Some(Bytes(record)) = &hello.record
            && PeerRecord::decode(record).map(|record| record.peer()) != Ok(peer)
        {
            return Err(RefusalReason::ForeignRecord);
        }
        match hello.role {
            // An Ed25519 peer id is the key itself, behind a fixed prefix.
            Role::Observer(key) if !peer.as_bytes().ends_with(&key.0) => Err(RefusalReason::ForeignKey),
            Role::Validator(key) if self.config.role.validator() == Some(key) => Err(RefusalReason::KeyInUse),
            Role::Validator(key) if self.is_in_use(&peer, key) => Err(RefusalReason::KeyInUse),
            _ => Ok(()),
        }
    }

    /// Whether another connected peer has proved this validator key.
    fn is_in_use(&self, peer: &Peer, key: PublicKey) -> bool {
        let mut others = self.peers.iter().filter(|(other, _)| *other != peer);
        others.any(|(_, state)| state.role == Some(Role::Validator(key)))
    }

    /// A role that was proved still has to be nobody else's when the handshake is done.
    pub(super) fn check_free(&self, peer: Peer, role: Role) -> Result<(), RefusalReason> {
        match role {
            Role::Validator(key) if self.is_in_use(&peer, key) => Err(RefusalReason::KeyInUse),
            _ => Ok(()),
        }
    }

    pub(super) fn check_proof(
        &self,
        peer: Peer,
        hello: &Hello,
        signature: &Signature,
    ) -> Result<(), RefusalReason> {
        let challenge = self.peers.get(&peer).map_or(Hash::ZERO, |state| state.challenge);
        let binding = self.binding(challenge, peer, self.config.peer, hello.role);
        if !binding.verify(signature) {
            return Err(RefusalReason::FalseClaim);
        }
        self.check_free(peer, hello.role)
    }
}
