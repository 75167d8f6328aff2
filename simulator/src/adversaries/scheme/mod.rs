//! Schemes: what a coalition does at a height that one of its members leads.
//!
//! All members fall silent, and the one that leads says, step by step and to one validator at a time, what its
//! plan asks for, with all members' signatures and whatever honest validators have been heard to sign. The plans are
//! next door; each is aimed at a rule of the consensus protocol and splits the honest validators where that rule is
//! missing:
//!
//! | plan | aimed at |
//! |---|---|
//! | [`chain`] | E2: a chain too short for its window, shown to one |
//! | [`certificate`] | C1, C2, C3: votes held back, the certificate shown to one at a last moment |
//! | [`support`] | S1: the same with support |
//! | [`improvise`] | all of them at once, and what nobody has thought of |
//!
//! **Moments.** A step is due a while before the end of a window *of the validator that it is said to*. When that began is
//! guessed: as this node's own did, until the validator's vote to skip or its `Closing` shows it.
//!
//! Bounds: [`MAX_STEPS`] steps wait, of one height.

pub(super) mod certificate;
pub(super) mod chain;
pub(super) mod improvise;
mod scene;
mod step;
pub(super) mod support;

use super::{Adversary, Moment, forge::own_block, moment::consensus};
use conclave_ledger::signed::Height;
use conclave_protocol::{
    consensus::Message,
    node::{Channel, Effect, Input, Notice, Protocol},
    peer::Peer,
    time::Time,
};
use scene::Scene;
use std::{collections::BTreeMap, time::Duration};
use step::Step;

/// Most steps that wait.
pub(super) const MAX_STEPS: usize = 512;

/// Windows after its last one for which a coalition says nothing else.
const QUIET_AFTER: u32 = 3;

/// What a member does at a height.
type Plan = fn(&Scene, &mut Moment<'_>) -> Vec<Step>;

/// See the module.
pub(super) struct Scheme {
    plan: Plan,
    /// Whether every member has a plan at every height, and not just the one that leads.
    everywhere: bool,
    height: Height,
    is_planned: bool,
    steps: Vec<Step>,
    /// When the height began here.
    start: Time,
    /// When it began at the others, as far as they have shown it.
    starts: BTreeMap<Peer, Time>,
    window: Duration,
    quiet_until: Option<Time>,
}

impl Scheme {
    /// Those who lead carry this plan out.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            everywhere: false,
            height: 0,
            is_planned: false,
            steps: Vec::new(),
            start: Time(0),
            starts: BTreeMap::new(),
            window: Duration::ZERO,
            quiet_until: None,
        }
    }

    /// Every member plans at every height.
    pub(super) fn everywhere(plan: Plan) -> Self {
        Self { everywhere: true, ..Self::new(plan) }
    }

    fn due(&self, step: &Step) -> Time {
        let start = self.starts.get(&step.to).copied().unwrap_or(self.start);
        let end = start + self.window * step.window;
        Time(end.0.saturating_sub(Time::after_start(step.before_end).0))
    }

    fn is_quiet(&self, at: &Moment<'_>) -> bool {
        self.quiet_until.is_some_and(|until| at.now() < until)
    }

    /// A height is open: does the coalition do something at it?
    fn open(&mut self, height: Height, at: &mut Moment<'_>) {
        if !self.steps.is_empty() {
            // Its own node is done with a height that is not over for the plan.
            return;
        }
        let led = at.coalition.is_member(&at.node.chain().leader());
        let acts = led || (self.everywhere && at.one_in(2));
        (self.height, self.is_planned, self.start) = (height, !acts, at.now());
        self.window = at.delta() * 2;
        self.starts.clear();
        let windows = at.set().faulty() as u32 + 3 + QUIET_AFTER;
        self.quiet_until = acts.then(|| at.now() + self.window * windows);
    }

    /// Makes the plan once there is a block to plan with.
    fn plan(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        if self.is_planned || self.height != at.height() {
            return Vec::new();
        }
        let Some(scene) = Scene::of(at) else { return Vec::new() };
        self.is_planned = true;
        self.steps = (self.plan)(&scene, at);
        self.steps.truncate(MAX_STEPS);
        self.due_steps(at)
    }

    fn due_steps(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        let steps = std::mem::take(&mut self.steps);
        let (mut due, later): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|step| self.due(step) <= at.now());
        self.steps = later;
        due.sort_by_key(|step| self.due(step));
        let said = due.into_iter().filter_map(|step| Some((step.to, step.act.message(self.height, at)?)));
        said.map(|(to, message)| consensus(to, &message)).collect()
    }

    /// When a validator's windows began: it votes to skip at the end of its first, and says `Closing` at the start
    /// of its last.
    fn notice_start(&mut self, from: Peer, message: &Message, at: &Moment<'_>) {
        let set = at.set();
        let windows = match message {
            Message::Skip { height, votes } if *height == self.height => {
                let role = at.node.peers().get(&from).and_then(|role| role.validator());
                let index = role.and_then(|key| set.index_of(&key));
                index.filter(|index| votes.contains(*index)).map(|_| 1)
            }
            Message::Closing { height } if *height == self.height => Some(set.faulty() as u32 + 2),
            _ => None,
        };
        if let Some(windows) = windows {
            let passed = Time::after_start(self.window * windows);
            let start = Time(at.now().0.saturating_sub(passed.0));
            let known = self.starts.entry(from).or_insert(start);
            *known = start.min(*known);
        }
    }
}

impl Adversary for Scheme {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Effect::Tell(Notice::Opened { height, .. }) = &effect {
            self.open(*height, at);
        }
        if !self.is_quiet(at) {
            return vec![effect];
        }
        match &effect {
            Effect::Send { channel: Channel::Consensus, .. } => {
                let proposed = at.sends(&effect).and_then(|(_, message)| own_block(&message, at));
                if let Some(block) = proposed.filter(|_| !self.is_planned) {
                    at.coalition.propose(block);
                }
                self.plan(at)
            }
            // Nobody is to learn from it what it knows.
            Effect::Respond { protocol: Protocol::Sync, number, .. } => {
                vec![Effect::Ignore { number: *number }]
            }
            _ => vec![effect],
        }
    }

    fn overhear(&mut self, input: &Input, at: &mut Moment<'_>) -> Vec<Effect> {
        if let Some((from, message)) = at.learn(input) {
            self.notice_start(from, &message, at);
        }
        if self.is_quiet(at) && self.everywhere { self.plan(at) } else { Vec::new() }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.steps.iter().map(|step| self.due(step)).min()
    }

    fn handle_timeout(&mut self, at: &mut Moment<'_>) -> Vec<Effect> {
        self.due_steps(at)
    }
}
