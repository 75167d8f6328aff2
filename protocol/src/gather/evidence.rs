//! What a party holds of the others, and how it finds out that one of them lies.

use super::message::{Seat, SignedCard, Signing};
use crate::peer::Peer;
use std::collections::BTreeMap;

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is held, now or before.
    Held,
    /// It contradicts another statement of its party in the same run.
    Contradicts,
    /// It is not signed, or of another run, or of nobody in the roster.
    Worthless,
}

/// Cards and signatures of the parties of a roster; the first of each counts.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) cards: BTreeMap<Peer, SignedCard>,
    pub(super) signings: BTreeMap<Peer, Signing>,
    /// The first card that contradicts one of those.
    other_card: Option<SignedCard>,
    /// The first signature that contradicts one of those.
    other_signing: Option<Signing>,
}

impl Evidence {
    /// Takes a card, from its party or passed on.
    pub(super) fn take_card(&mut self, roster: &[Seat], card: &SignedCard) -> Taken {
        let seat = card.card.seat;
        let known = self.cards.get(&seat.peer);
        if known == Some(card) {
            return Taken::Held;
        }
        if !roster.contains(&seat) || !card.is_signed() {
            return Taken::Worthless;
        }
        match known {
            // The signature is over the card, and Ed25519 has one signature for each message: a second one of the same
            // card is none of an honest party, but contradicts nothing.
            Some(known) if known.card == card.card => Taken::Held,
            Some(_) => {
                self.other_card.get_or_insert_with(|| card.clone());
                Taken::Contradicts
            }
            None => {
                self.cards.insert(seat.peer, card.clone());
                Taken::Held
            }
        }
    }

    /// Takes a signature, from its party or passed on. That of the validator key is checked when the card is there.
    pub(super) fn take_signing(&mut self, roster: &[Seat], signing: &Signing) -> Taken {
        let known = self.signings.get(&signing.seat.peer);
        if known == Some(signing) {
            return Taken::Held;
        }
        if !roster.contains(&signing.seat) || !signing.is_signed() {
            return Taken::Worthless;
        }
        match known {
            Some(known) if known.genesis != signing.genesis => {
                self.other_signing.get_or_insert(*signing);
                return Taken::Contradicts;
            }
            // Of two that differ in what the validator key has signed, the better one is held.
            Some(known) if self.is_whole(known) => return Taken::Held,
            _ => {}
        }
        self.signings.insert(signing.seat.peer, *signing);
        Taken::Held
    }

    /// Everything, for the others.
    pub(super) fn all(&self) -> (Vec<SignedCard>, Vec<Signing>) {
        let cards = self.cards.values().chain(&self.other_card).cloned().collect();
        let signings = self.signings.values().chain(&self.other_signing).copied().collect();
        (cards, signings)
    }

    /// Whether the validator key of its party's card has signed too.
    pub(super) fn is_whole(&self, signing: &Signing) -> bool {
        self.cards
            .get(&signing.seat.peer)
            .is_some_and(|signed| signing.is_signed_by(&signed.card.validator.key))
    }
}
