//! The contents that are known again.

use super::{
    config::MAX_KNOWN,
    message::{ContentId, Hops},
};
use crate::time::Time;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// What is known of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The modules are being asked.
    Checked,
    /// They called it valid, or one of them announced it.
    Valid,
    /// One called it invalid.
    Invalid,
    /// They did not say.
    Unanswered,
}

/// A content that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) fate: Fate,
    /// The furthest that a copy of it might go.
    pub(super) hops: Hops,
}

/// The contents of the duplicate window.
pub(super) struct Window {
    duration: Duration,
    contents: BTreeMap<ContentId, Known>,
    order: VecDeque<(Time, ContentId)>,
}

impl Window {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration, contents: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get_mut(&mut self, id: &ContentId, now: Time) -> Option<&mut Known> {
        while let Some((_, old)) = self.order.pop_front_if(|(until, _)| *until <= now) {
            self.contents.remove(&old);
        }
        self.contents.get_mut(id)
    }

    /// Remembers a content that is not known.
    pub(super) fn insert(&mut self, id: ContentId, known: Known, now: Time) {
        if self.contents.len() >= MAX_KNOWN {
            self.order.pop_front().map(|(_, oldest)| self.contents.remove(&oldest));
        }
        if self.contents.insert(id, known).is_none() {
            self.order.push_back((now + self.duration, id));
        }
    }
}
