//! The local modules: what they subscribe to, and which notifications they have not answered.

use super::{
    config::{LINGER, MAX_TYPES, MAX_UNANSWERED},
    event::ModuleId,
    message::{ContentId, DataType},
};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Module {
    types: BTreeSet<DataType>,
    /// By number; with the content whose fate hangs on the answer, if it does.
    unanswered: BTreeMap<u16, Option<ContentId>>,
    next: u16,
}

/// What a subscription changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscribed {
    /// Nothing that others notice.
    Already,
    /// The topic has its first subscriber.
    First,
    /// There are too many topics.
    TooMany,
}

/// All modules.
#[derive(Default)]
pub(super) struct Modules {
    modules: BTreeMap<ModuleId, Module>,
    subscribers: BTreeMap<DataType, BTreeSet<ModuleId>>,
    /// Types without subscriber whose topic is still subscribed to, and until when.
    lingering: BTreeMap<DataType, Time>,
}

impl Modules {
    pub(super) fn subscribe(&mut self, module: ModuleId, data_type: DataType) -> Subscribed {
        let lingered = self.lingering.remove(&data_type).is_some();
        let is_subscribed = lingered || self.subscribers.contains_key(&data_type);
        if !is_subscribed && self.subscribers.len() + self.lingering.len() >= MAX_TYPES {
            return Subscribed::TooMany;
        }
        self.modules.entry(module).or_default().types.insert(data_type);
        self.subscribers.entry(data_type).or_default().insert(module);
        if is_subscribed { Subscribed::Already } else { Subscribed::First }
    }

    /// Removes a module; gives the contents whose fate hung on it.
    pub(super) fn remove(&mut self, module: ModuleId, now: Time) -> Vec<ContentId> {
        let Some(gone) = self.modules.remove(&module) else { return Vec::new() };
        for data_type in gone.types {
            if let Some(subscribers) = self.subscribers.get_mut(&data_type) {
                subscribers.remove(&module);
                if subscribers.is_empty() {
                    self.subscribers.remove(&data_type);
                    self.lingering.insert(data_type, now + LINGER);
                }
            }
        }
        gone.unanswered.into_values().flatten().collect()
    }

    /// How many subscriptions there are, each module and type counted.
    pub(super) fn subscriptions(&self) -> usize {
        self.subscribers.values().map(BTreeSet::len).sum()
    }

    /// The modules that subscribe to a type.
    pub(super) fn subscribers(&self, data_type: DataType) -> Vec<ModuleId> {
        self.subscribers.get(&data_type).map_or_else(Vec::new, |modules| modules.iter().copied().collect())
    }

    /// A number for a notification; `None` if the module has left too many unanswered.
    pub(super) fn number(&mut self, module: ModuleId, content: Option<ContentId>) -> Option<u16> {
        let module =
            self.modules.get_mut(&module).filter(|module| module.unanswered.len() < MAX_UNANSWERED)?;
        while module.unanswered.contains_key(&module.next) {
            module.next = module.next.wrapping_add(1);
        }
        let number = module.next;
        module.next = number.wrapping_add(1);
        module.unanswered.insert(number, content);
        Some(number)
    }

    /// Takes an answer: `Err` if there was no such question, otherwise the content that hangs on it.
    pub(super) fn answer(&mut self, module: ModuleId, number: u16) -> Result<Option<ContentId>, ()> {
        match self.modules.get_mut(&module) {
            Some(module) => module.unanswered.remove(&number).ok_or(()),
            // Not one that was told to go while its answer was on the way.
            None => Err(()),
        }
    }

    /// The fate of a content no longer hangs on the answer; one that still comes is taken without a word.
    pub(super) fn release(&mut self, module: ModuleId, number: u16) {
        if let Some(waiting) =
            self.modules.get_mut(&module).and_then(|module| module.unanswered.get_mut(&number))
        {
            *waiting = None;
        }
    }

    /// The next topic that has lingered long enough.
    pub(super) fn pop_lingered(&mut self, now: Time) -> Option<DataType> {
        let over =
            self.lingering.iter().find(|(_, until)| **until <= now).map(|(data_type, _)| *data_type)?;
        self.lingering.remove(&over);
        Some(over)
    }

    /// When a topic has lingered long enough.
    pub(super) fn next_lingered(&self) -> Option<Time> {
        self.lingering.values().min().copied()
    }
}
