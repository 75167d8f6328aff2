//! What has to hold in every state, judged from what nodes signed and said that they decided. Nothing here asks the
//! machine, and the sizes of quorums are computed from their definitions.

use crate::{
    game::{DELTA, Game, LEADER, WINDOW},
    network::{LATE, Network, State},
    nodes::{Fault, Notes},
};
use conclave_ledger::signed::{Kind, Value};
use stateright::Property;
use std::collections::BTreeSet;

pub(crate) fn all() -> Vec<Property<Network>> {
    vec![
        Property::always("agreement", agreement),
        Property::always("at most one certificate", one_certificate),
        Property::always("an honest leader's block is decided", validity),
        Property::always("everybody decides in time", termination),
        Property::always("a quorum decides at once", speed),
        Property::always("every vote is logged before it is sent", |network, state| {
            !has(network, state, Fault::SentBeforeLogged)
        }),
        Property::always("nobody signs twice", |network, state| !has(network, state, Fault::SignedTwice)),
        Property::always("nobody honest is blamed", |network, state| {
            !has(network, state, Fault::BlamedAnHonestNode)
        }),
        Property::always("evidence is against liars only", |network, state| {
            !has(network, state, Fault::AccusedAnHonestNode)
        }),
        Property::always("nothing invalid is decided", |network, state| {
            !has(network, state, Fault::DecidedAnInvalidBlock)
        }),
        Property::always("nothing is decided twice", |network, state| {
            !has(network, state, Fault::DecidedTwice)
        }),
        Property::always("a certificate outranks", |network, state| {
            !has(network, state, Fault::IgnoredACertificate)
        }),
    ]
}

fn has(network: &Network, state: &State, fault: Fault) -> bool {
    let nodes = network.nodes();
    state.notes(&nodes).into_iter().any(|(_, notes)| notes.faults.contains(&fault))
}

fn decided(notes: &[(u8, &Notes)]) -> BTreeSet<Value> {
    notes.iter().filter_map(|(_, notes)| notes.decided).map(|(value, _)| value).collect()
}

/// Whether a clean cut is borne: nobody lies, and fewer than a third may be faulty.
fn bears_cuts(game: &Game) -> bool {
    game.liar.is_none() && 3 * game.faulty < u16::from(game.validators)
}

/// No two honest nodes decide differently, while the network keeps `Δ`; and under a cut that is borne.
fn agreement(network: &Network, state: &State) -> bool {
    let nodes = network.nodes();
    let is_promised = !state.was_cut || bears_cuts(&nodes.game);
    !is_promised || decided(&state.notes(&nodes)).len() <= 1
}

/// The votes of honest nodes and one liar make a certificate on one value at most.
fn one_certificate(network: &Network, state: &State) -> bool {
    let nodes = network.nodes();
    let notes = state.notes(&nodes);
    let votes = |value: Value| {
        let has_voted =
            |notes: &Notes| notes.log.iter().any(|record| record.kind == Kind::Vote && record.value == value);
        notes.iter().filter(|(_, notes)| has_voted(notes)).count() + usize::from(nodes.game.liar.is_some())
    };
    let values = [Value::Skip, nodes.game.value(0), nodes.game.value(1)];
    values.into_iter().filter(|value| votes(*value) >= nodes.game.quorum()).count() <= 1
}

/// While the network keeps `Δ`, everybody decides an honest leader's block.
fn validity(network: &Network, state: &State) -> bool {
    let nodes = network.nodes();
    let is_promised = nodes.game.liar != Some(LEADER)
        && nodes.game.verdicts[0].valid
        && nodes.game.verdicts[0].timely
        && state.crashed.is_none()
        && !state.was_cut;
    !is_promised || decided(&state.notes(&nodes)).iter().all(|value| *value == nodes.game.value(0))
}

/// By the end of window f+3; after a cut has healed, some windows later.
fn termination(network: &Network, state: &State) -> bool {
    let nodes = network.nodes();
    let is_promised = if state.was_cut {
        bears_cuts(&nodes.game) && state.is_whole() && network.is_over(state)
    } else {
        network.is_due(state)
    };
    let up = network.up(&nodes.game, state);
    let has_decided = |(node, notes): (u8, &Notes)| !up.contains(&node) || notes.decided.is_some();
    !is_promised || state.notes(&nodes).into_iter().all(has_decided)
}

/// When the liar leads and says nothing, and the others are a quorum, they skip two windows and one delay after their
/// starts.
fn speed(network: &Network, state: &State) -> bool {
    let nodes = network.nodes();
    let game = &nodes.game;
    let others = usize::from(game.validators) - 1;
    let is_promised = game.liar == Some(LEADER)
        && state.lies == 0
        && !state.was_cut
        && state.crashed.is_none()
        && others >= game.quorum()
        && network.now(state) > LATE + WINDOW + DELTA;
    let by_certificate = |(_, notes): (u8, &Notes)| notes.decided == Some((Value::Skip, true));
    !is_promised || state.notes(&nodes).into_iter().all(by_certificate)
}
