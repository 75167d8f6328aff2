//! The model: a network of honest nodes, one liar, a cut and a crash, as states and actions.
//!
//! - Honest nodes are [`crate::nodes`]. Each begins the height early or almost `Δ` later ([`Setting::starts`]).
//! - Between honest nodes a message takes no time at all over a fast link and all of `Δ` over a slow one
//!   ([`Setting::slow`]), what the program waits by itself and the pull of a block included.
//! - Time passes from one *moment* to the next: just after each window of a node begins, and just before it ends.
//!   At a moment of its own a node can be told something by the liar; at any moment a cut or a crash can happen.
//! - What happens at one moment happens at once: what honest nodes answer goes out afterwards.

use crate::{
    game::{DELTA, Game, WINDOW},
    moves::{Knowledge, Move},
    nodes::{MessageId, NodeId, Nodes, Notes, Told, named},
    properties,
};
use conclave_protocol::consensus::Message;
use stateright::{Model, Property};
use std::sync::{Mutex, MutexGuard};

/// How much later than the earliest node a late one begins: almost `Δ`.
pub(crate) const LATE: u64 = DELTA - 1;

/// Windows that a network is given after a cut has healed.
const WINDOWS_AFTER_HEALING: u64 = 8;

/// Something on its way: when it is due, to whom, from whom, what.
type Delivery = (u64, u8, u8, Told);

/// What the environment of one run is.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// For each validator, whether it begins late.
    pub(crate) late: Vec<bool>,
    /// Links that are slow, as from and to.
    pub(crate) slow: Vec<(u8, u8)>,
}

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// Messages of the liar.
    pub(crate) lies: u8,
    /// Whether the network may be cut in two, once, and heal.
    pub(crate) cut: bool,
    /// Whether a node may stop for good.
    pub(crate) crash: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    setting: usize,
    /// The moment, as an index into [`Network::moments`].
    moment: usize,
    /// Nodes that were told something at this moment already come before this one.
    next_told: u8,
    pub(crate) lies: u8,
    /// Nodes on the other side of the cut, and whether there was one.
    side: Option<u8>,
    pub(crate) was_cut: bool,
    pub(crate) crashed: Option<u8>,
    /// One for each validator; the liar's is never looked at.
    pub(crate) nodes: Vec<NodeId>,
    on_the_way: Vec<Delivery>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The liar says something to a node.
    Tell(u8, Move),
    /// These nodes, as bits, lose touch with the others.
    Cut(u8),
    Heal,
    Crash(u8),
    /// Time passes to the next moment.
    Pass,
}

pub(crate) struct Network {
    nodes: Mutex<Nodes>,
    settings: Vec<Setting>,
    budget: Budget,
    /// Ascending; the last one is the end of the run.
    moments: Vec<u64>,
}

impl Network {
    pub(crate) fn new(game: Game, settings: Vec<Setting>, budget: Budget) -> Self {
        let windows = game.last_window() / WINDOW;
        let mut moments: Vec<u64> = [0, LATE]
            .into_iter()
            .flat_map(|start| (0..windows).flat_map(move |window| moments_of_window(start, window)))
            .collect();
        moments.sort_unstable();
        moments.dedup();
        // All that is on its way when the last window ends has arrived a little later.
        let end = LATE + game.last_window() + 2 * DELTA;
        moments.push(end);
        if budget.cut {
            moments.push(end + WINDOWS_AFTER_HEALING * WINDOW);
        }
        Self { nodes: Mutex::new(Nodes::new(game)), settings, budget, moments }
    }

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn now(&self, state: &State) -> u64 {
        self.moments[state.moment]
    }

    pub(crate) fn is_over(&self, state: &State) -> bool {
        state.moment + 1 == self.moments.len()
    }

    /// Whether the height was given all the time that it may take.
    pub(crate) fn is_due(&self, state: &State) -> bool {
        state.moment >= self.due()
    }

    /// Whether nothing is left to choose before the last window ends.
    fn is_determined(&self, state: &State) -> bool {
        let may_cut = self.budget.cut && !state.was_cut;
        let may_crash = self.budget.crash && state.crashed.is_none();
        state.lies == self.budget.lies && !may_cut && !may_crash
    }

    /// When the last window of everybody is over.
    fn due(&self) -> usize {
        self.moments.len() - 1 - usize::from(self.budget.cut)
    }

    pub(crate) fn setting(&self, state: &State) -> &Setting {
        &self.settings[state.setting]
    }

    fn start(&self, state: &State, node: u8) -> u64 {
        if self.setting(state).late[usize::from(node)] { LATE } else { 0 }
    }

    fn is_moment_of(&self, state: &State, node: u8) -> bool {
        let (now, start) = (self.now(state), self.start(state, node));
        now > start && [1, WINDOW - 1].contains(&((now - start) % WINDOW))
    }

    /// Honest nodes that have not crashed.
    pub(crate) fn up(&self, game: &Game, state: &State) -> Vec<u8> {
        game.honest().filter(|node| Some(*node) != state.crashed).collect()
    }

    fn all_decided(&self, nodes: &Nodes, state: &State) -> bool {
        self.up(&nodes.game, state)
            .into_iter()
            .all(|node| nodes.notes(state.nodes[usize::from(node)]).decided.is_some())
    }
}

fn moments_of_window(start: u64, window: u64) -> [u64; 2] {
    [start + window * WINDOW + 1, start + (window + 1) * WINDOW - 1]
}

fn apart(side: Option<u8>, a: u8, b: u8) -> bool {
    side.is_some_and(|side| (side >> a) & 1 != (side >> b) & 1)
}

impl State {
    /// Whether there is no cut.
    pub(crate) fn is_whole(&self) -> bool {
        self.side.is_none()
    }

    pub(crate) fn notes<'a>(&self, nodes: &'a Nodes) -> Vec<(u8, &'a Notes)> {
        nodes.game.honest().map(|node| (node, nodes.notes(self.nodes[usize::from(node)]))).collect()
    }
}

/// A state in the making.
struct Run<'a> {
    network: &'a Network,
    nodes: &'a mut Nodes,
    state: State,
}

impl Run<'_> {
    fn tell(&mut self, node: u8, told: Told, now: u64) {
        let place = usize::from(node);
        let before = self.state.nodes[place];
        let step = self.nodes.step(before, told, now);
        self.state.nodes[place] = step.node;
        for (to, message) in &step.sent {
            self.send(node, *to, *message, now);
        }
        for block in &step.wanted {
            self.pull(node, *block, now);
        }
    }

    fn is_off(&self, node: u8) -> bool {
        Some(node) == self.nodes.game.liar || Some(node) == self.state.crashed
    }

    /// The liar hears everything anyway.
    fn send(&mut self, from: u8, to: u8, message: MessageId, now: u64) {
        if self.is_off(to) || self.is_off(from) || apart(self.state.side, from, to) {
            return;
        }
        let is_slow = self.network.setting(&self.state).slow.contains(&(from, to));
        let delay = if is_slow { DELTA - self.included(to, message) } else { 0 };
        // A link keeps the order of what is sent over it.
        let before = self.state.on_the_way.iter().filter(|sent| (sent.1, sent.2) == (to, from));
        let due = before.map(|sent| sent.0).max().unwrap_or(0).max(now + delay);
        self.state.on_the_way.push((due, to, from, Told::Message(from, message)));
        self.state.on_the_way.sort_by_key(|sent| (sent.0, sent.1, sent.2));
    }

    /// What is part of `Δ` besides the way of the message: the wait before a certificate, the pull of a block.
    fn included(&self, to: u8, message: MessageId) -> u64 {
        let message = self.nodes.message(message);
        let bodies = &self.nodes.notes(self.state.nodes[usize::from(to)]).bodies;
        let lacks = |hash| self.nodes.game.number(&hash).is_some_and(|block| !bodies.contains(&block));
        match message {
            Message::Certificate { .. } => DELTA / 4,
            _ if named(message).is_some_and(lacks) => DELTA / 8,
            _ => 0,
        }
    }

    /// A block is pulled from any honest node that has it and is in touch.
    fn pull(&mut self, node: u8, block: usize, now: u64) {
        let has = |other: &u8| {
            let id = self.state.nodes[usize::from(*other)];
            self.nodes.notes(id).bodies.contains(&block)
        };
        let in_touch =
            |other: &u8| *other != node && !self.is_off(*other) && !apart(self.state.side, node, *other);
        let giver = self.nodes.game.honest().filter(in_touch).find(has);
        if let Some(other) = giver {
            self.state.on_the_way.push((now, node, other, Told::Body(block)));
            self.state.on_the_way.sort_by_key(|sent| (sent.0, sent.1, sent.2));
        }
    }

    /// Lets time pass, with every delivery and every deadline on the way.
    fn pass(&mut self, end: u64) {
        loop {
            let delivery = self.state.on_the_way.first().map(|sent| sent.0);
            let up = self.network.up(&self.nodes.game, &self.state);
            let due = |node: &u8| self.due(*node);
            let deadline = up.iter().filter_map(due).min();
            let Some(next) = [delivery, deadline].into_iter().flatten().min().filter(|next| *next <= end)
            else {
                break;
            };
            if delivery == Some(next) {
                let (now, to, _, told) = self.state.on_the_way.remove(0);
                self.tell(to, told, now);
            } else {
                for node in up {
                    if self.due(node) == Some(next) {
                        let told = if self.is_fresh(node) { Told::Start } else { Told::Timeout };
                        self.tell(node, told, next);
                    }
                }
            }
        }
    }

    /// Whether the node has not begun the height yet.
    fn is_fresh(&self, node: u8) -> bool {
        !self.nodes.has_begun(self.state.nodes[usize::from(node)])
    }

    fn due(&self, node: u8) -> Option<u64> {
        if self.is_fresh(node) {
            return Some(self.network.start(&self.state, node));
        }
        self.nodes.due(self.state.nodes[usize::from(node)])
    }

    fn cut(&mut self, side: u8) {
        self.state.side = Some(side);
        self.state.was_cut = true;
        self.state.on_the_way.retain(|sent| !apart(Some(side), sent.1, sent.2));
    }

    fn heal(&mut self, now: u64) {
        let side = self.state.side.take();
        let up = self.network.up(&self.nodes.game, &self.state);
        for node in &up {
            for other in up.iter().filter(|other| apart(side, *node, **other)) {
                self.tell(*node, Told::Reconnected(*other), now);
            }
        }
    }

    fn crash(&mut self, node: u8) {
        self.state.crashed = Some(node);
        self.state.on_the_way.retain(|sent| sent.1 != node && sent.2 != node);
    }
}

impl Model for Network {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut nodes = self.nodes();
        let validators = nodes.game.validators;
        let fresh: Vec<NodeId> = (0..validators).map(|node| nodes.fresh(node)).collect();
        let state = |setting| State {
            setting,
            moment: 0,
            next_told: 0,
            lies: 0,
            side: None,
            was_cut: false,
            crashed: None,
            nodes: fresh.clone(),
            on_the_way: Vec::new(),
        };
        let begin = |setting| {
            let mut run = Run { network: self, nodes: &mut nodes, state: state(setting) };
            run.pass(self.moments[0]);
            run.state
        };
        (0..self.settings.len()).map(begin).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut nodes = self.nodes();
        // After a cut, nodes that have decided still have something to tell each other.
        if self.is_over(state) || (self.all_decided(&nodes, state) && !state.was_cut) {
            return;
        }
        let up = self.up(&nodes.game, state);
        if state.lies < self.budget.lies && !self.is_due(state) {
            for node in up.iter().filter(|node| **node >= state.next_told) {
                let is_open = nodes.notes(state.nodes[usize::from(*node)]).decided.is_none();
                if is_open && self.is_moment_of(state, *node) {
                    actions.extend(self.tells(&mut nodes, state, *node));
                }
            }
        }
        if self.budget.cut && !state.was_cut && !self.is_due(state) && state.next_told == 0 {
            // A cut into two sides; validator 0 is on the first.
            actions.extend((1..1 << (nodes.game.validators - 1)).map(|side| Action::Cut(side << 1)));
        }
        if state.side.is_some() && self.is_due(state) {
            actions.push(Action::Heal);
        }
        if self.budget.crash && state.crashed.is_none() && !self.is_due(state) && state.next_told == 0 {
            actions.extend(up.into_iter().map(Action::Crash));
        }
        actions.push(Action::Pass);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut nodes = self.nodes();
        let now = self.now(state);
        let mut run = Run { network: self, nodes: &mut nodes, state: state.clone() };
        match action {
            Action::Tell(node, said) => {
                let notes = state.notes(run.nodes);
                let messages = Knowledge::new(&run.nodes.game, &notes).messages(said);
                for message in messages {
                    let message = run.nodes.number_of(message);
                    let liar = run.nodes.game.liar?;
                    run.tell(node, Told::Message(liar, message), now);
                }
                run.state.lies += 1;
                run.state.next_told = node;
            }
            Action::Cut(side) => run.cut(side),
            Action::Heal => run.heal(now),
            Action::Crash(node) => run.crash(node),
            Action::Pass => {
                let next = state.moment + 1;
                run.state.moment = if self.is_determined(state) { next.max(self.due()) } else { next };
                run.state.next_told = 0;
                run.pass(self.moments[run.state.moment]);
            }
        }
        Some(run.state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }
}

impl Network {
    /// What the liar can say to a node now that makes any difference to it.
    fn tells(&self, nodes: &mut Nodes, state: &State, node: u8) -> Vec<Action> {
        let (now, before) = (self.now(state), state.nodes[usize::from(node)]);
        let Some(liar) = nodes.game.liar else { return Vec::new() };
        let said: Vec<(Move, Vec<Message>)> = {
            let notes = state.notes(nodes);
            let knowledge = Knowledge::new(&nodes.game, &notes);
            Move::all().map(|said| (said, knowledge.messages(said))).collect()
        };
        let mut differs = |messages: Vec<Message>| {
            let mut after = before;
            for message in messages {
                let message = nodes.number_of(message);
                after = nodes.step(after, Told::Message(liar, message), now).node;
            }
            after != before
        };
        let telling = said.into_iter().filter_map(|(said, messages)| differs(messages).then_some(said));
        telling.map(|said| Action::Tell(node, said)).collect()
    }
}
