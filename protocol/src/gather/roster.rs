//! Who takes part, and the genesis that follows from their cards.

use super::{
    failure::Reason,
    message::{Card, Seat, SignedCard, Terms},
};
use crate::peer::Peer;
use conclave_ledger::genesis::{Engine, FORMAT, Genesis, Limits};
use std::collections::BTreeMap;

/// The stamp that the genesis asks of senders whom the ledger does not know, in bits: that of a genesis made alone.
const STAMP_BITS: u8 = 16;

/// The first `parties` of those who have registered, by run and then by peer id; in the order of peers.
pub(super) fn choose(registered: &[Seat], parties: usize) -> Option<Vec<Seat>> {
    let newest: BTreeMap<Peer, u64> = registered.iter().map(|seat| (seat.peer, seat.run)).collect();
    let mut seats: Vec<Seat> = newest.into_iter().map(|(peer, run)| Seat { peer, run }).collect();
    if seats.len() < parties {
        return None;
    }
    seats.sort_by_key(|seat| (seat.run, seat.peer));
    seats.truncate(parties);
    seats.sort_unstable();
    Some(seats)
}

/// How the roster of a party differs from ours.
pub(super) fn difference(peer: Peer, ours: &[Seat], theirs: &[Seat]) -> Reason {
    let run_in =
        |roster: &[Seat], peer: &Peer| roster.iter().find(|seat| seat.peer == *peer).map(|seat| seat.run);
    let changed = ours.iter().find(|seat| run_in(theirs, &seat.peer).is_some_and(|run| run != seat.run));
    if let Some(seat) = changed {
        return Reason::BeganAgain(seat.peer);
    }
    let only = |here: &[Seat], there: &[Seat]| -> Vec<Peer> {
        here.iter().map(|seat| seat.peer).filter(|peer| run_in(there, peer).is_none()).collect()
    };
    Reason::OtherRoster { peer, only_here: only(ours, theirs), only_there: only(theirs, ours) }
}

/// The genesis that follows from these cards by rule.
///
/// # Errors
/// Who brings what cannot be.
pub(super) fn genesis(terms: &Terms, cards: &BTreeMap<Peer, SignedCard>) -> Result<Genesis, Reason> {
    let mut by_name: Vec<&Card> = cards.values().map(|signed| &signed.card).collect();
    by_name.sort_by(|a, b| (&a.validator.name, a.seat).cmp(&(&b.validator.name, b.seat)));
    if let Some([first, second]) =
        by_name.array_windows().find(|[first, second]| first.validator.name == second.validator.name)
    {
        return Err(Reason::SameName(first.seat.peer, second.seat.peer));
    }
    let mut by_key = BTreeMap::new();
    for card in &by_name {
        if let Some(first) = by_key.insert(card.validator.key, card.seat.peer) {
            return Err(Reason::SameKey(first, card.seat.peer));
        }
    }
    let mut clocks: Vec<u64> = by_name.iter().map(|card| card.created_ms).collect();
    clocks.sort_unstable();
    let genesis = Genesis {
        format: FORMAT,
        name: terms.name.clone(),
        engine: Engine::DolevStrong,
        fast: terms.fast,
        faulty: terms.faulty,
        delta_ms: terms.delta_ms,
        created_ms: clocks.get(clocks.len().saturating_sub(1) / 2).copied().unwrap_or_default(),
        stamp_bits: STAMP_BITS,
        proof_of_work: None,
        limits: Limits::default(),
        validators: by_name.iter().map(|card| card.validator.clone()).collect(),
        senders: Vec::new(),
        records: Vec::new(),
    };
    genesis.check().map_err(|error| {
        let field = error.field.strip_prefix("validators[").and_then(|rest| rest.split(']').next());
        let index = field.and_then(|index| index.parse::<usize>().ok());
        let peer = index.and_then(|index| by_name.get(index)).map(|card| card.seat.peer);
        Reason::Unusable { peer, rule: error.to_string() }
    })?;
    Ok(genesis)
}
