//! When work is done, and on what.
//!
//! A template is what the next block would be: the transactions that wait, the oldest first, on the chain's tip. Another one
//! is built at once when the tip changes; and when transactions have come, at most every [`TEMPLATE_INTERVAL`], as building
//! goes through all that wait. No template, no work.

use crate::{
    machine::{Input, Machine, Output},
    time::Time,
};
use conclave_ledger::{block::Block, proof_of_work::Nonce};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

/// Least time between two templates on the same tip.
const TEMPLATE_INTERVAL: Duration = Duration::from_millis(500);

/// Time after which a template is built anew, whatever has changed: its timestamp is old.
const TEMPLATE_AGE: Duration = Duration::from_secs(5);

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum MinerCommand {
    /// The chain's tip is another one.
    Tip,
    /// The pool has changed.
    Pool,
    /// The template that was to be built; `None` if there is nothing to work for.
    Built(Option<Arc<Block>>),
    /// A nonce was found.
    Found {
        /// The number of the work.
        ticket: u64,
        /// The nonce.
        nonce: u64,
    },
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MinerEvent {
    /// Build a template: answered by [`MinerCommand::Built`].
    Build,
    /// Work on this block, and on no other any more.
    Work {
        /// The number of the work.
        ticket: u64,
        /// The template.
        template: Arc<Block>,
    },
    /// Stop working.
    Rest,
    /// A block was mined.
    Mined(Arc<Block>),
}

/// The machine.
#[derive(Debug, Default)]
pub struct Miner {
    ticket: u64,
    template: Option<Arc<Block>>,
    built_at: Option<Time>,
    is_building: bool,
    rebuild_at: Option<Time>,
    outputs: VecDeque<Output<Self>>,
}

impl Miner {
    fn emit(&mut self, event: MinerEvent) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn build(&mut self) {
        self.rebuild_at = None;
        if !self.is_building {
            self.is_building = true;
            self.emit(MinerEvent::Build);
        }
    }

    fn built(&mut self, template: Option<Arc<Block>>, now: Time) {
        self.is_building = false;
        self.built_at = Some(now);
        match template {
            Some(template) => {
                self.ticket += 1;
                self.template = Some(template.clone());
                self.rebuild_at = Some(now + TEMPLATE_AGE);
                self.emit(MinerEvent::Work { ticket: self.ticket, template });
            }
            None => self.rest(),
        }
    }

    fn rest(&mut self) {
        if self.template.take().is_some() {
            self.emit(MinerEvent::Rest);
        }
    }

    fn found(&mut self, ticket: u64, nonce: u64) {
        if ticket != self.ticket {
            return; // On a template that is no longer worked on.
        }
        let Some(mut block) = self.template.take() else { return };
        if let Some(seal) = &mut Arc::make_mut(&mut block).header.work {
            seal.nonce = Nonce(nonce.to_be_bytes());
        }
        self.rebuild_at = None;
        self.emit(MinerEvent::Mined(block));
    }
}

impl Machine for Miner {
    type Message = Infallible;
    type Command = MinerCommand;
    type Event = MinerEvent;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            Input::Command(MinerCommand::Tip) => {
                self.rest();
                self.build();
            }
            Input::Command(MinerCommand::Pool) => match self.built_at.map(|at| at + TEMPLATE_INTERVAL) {
                Some(soon) if soon > now => {
                    self.rebuild_at = Some(self.rebuild_at.map_or(soon, |at| at.min(soon)));
                }
                _ => self.build(),
            },
            Input::Command(MinerCommand::Built(template)) => self.built(template, now),
            Input::Command(MinerCommand::Found { ticket, nonce }) => self.found(ticket, nonce),
            Input::Connected(_) | Input::Disconnected(_) | Input::Received(..) => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.rebuild_at.is_some_and(|at| at <= now) {
            self.build();
        }
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.rebuild_at
    }
}
