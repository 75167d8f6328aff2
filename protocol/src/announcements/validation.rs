//! Announcements that wait for what the modules say of them.

use super::{
    event::{ModuleId, Outcome, Verdict},
    known::Fate,
    machine::Announcements,
    message::{Announcement, ContentId, DataType, Hops, MessageId},
};
use crate::{peer::Peer, penalty::Penalty, time::Time};
use conclave_ledger::bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A message of gossipsub that carries a content.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) id: MessageId,
    /// Who sent its first copy.
    pub(super) peer: Peer,
    pub(super) hops: Hops,
}

/// A content in validation.
pub(super) struct Validation {
    pub(super) data_type: DataType,
    pub(super) data: Arc<[u8]>,
    /// The messages that carry it; they differ by their TTL.
    pub(super) variants: Vec<Variant>,
    /// The modules that have not answered, with the number of the question.
    pub(super) awaited: BTreeMap<ModuleId, u16>,
    /// Whether one has called it valid.
    pub(super) approved: bool,
    pub(super) deadline: Time,
}

/// All of them.
#[derive(Default)]
pub(super) struct Validations {
    contents: BTreeMap<ContentId, Validation>,
    deadlines: BTreeSet<(Time, ContentId)>,
    bytes: usize,
}

impl Validations {
    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, content: ContentId, validation: Validation) {
        self.bytes += validation.data.len();
        self.deadlines.insert((validation.deadline, content));
        self.contents.insert(content, validation);
    }

    pub(super) fn get_mut(&mut self, content: &ContentId) -> Option<&mut Validation> {
        self.contents.get_mut(content)
    }

    fn remove(&mut self, content: &ContentId) -> Option<Validation> {
        let validation = self.contents.remove(content)?;
        self.bytes -= validation.data.len();
        self.deadlines.remove(&(validation.deadline, *content));
        Some(validation)
    }

    /// When the next answer is overdue.
    pub(super) fn next(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

impl Announcements {
    /// A module has answered.
    pub(super) fn answered(&mut self, content: ContentId, module: ModuleId, valid: bool) {
        let Some(validation) = self.validations.get_mut(&content) else { return };
        validation.awaited.remove(&module);
        validation.approved |= valid;
        if !valid {
            self.finish(content, Fate::Invalid, Outcome::Invalid);
        } else if validation.awaited.is_empty() {
            self.finish(content, Fate::Valid, Outcome::PassedOn);
        }
    }

    /// A module has left without an answer.
    pub(super) fn no_longer_awaited(&mut self, content: ContentId, module: ModuleId) {
        let Some(validation) = self.validations.get_mut(&content) else { return };
        validation.awaited.remove(&module);
        match (validation.awaited.is_empty(), validation.approved) {
            (false, _) => {}
            (true, true) => self.finish(content, Fate::Valid, Outcome::PassedOn),
            (true, false) => self.finish(content, Fate::Unanswered, Outcome::Abandoned),
        }
    }

    /// Gives up waiting where nobody answered in time.
    pub(super) fn time_out(&mut self) {
        while let Some((_, content)) =
            self.validations.deadlines.first().copied().filter(|(at, _)| *at <= self.now())
        {
            self.finish(content, Fate::Unanswered, Outcome::Unanswered);
        }
    }

    fn finish(&mut self, content: ContentId, fate: Fate, outcome: Outcome) {
        let Some(validation) = self.validations.remove(&content) else { return };
        for (module, notification) in &validation.awaited {
            self.modules.release(*module, *notification);
        }
        let now = self.now();
        if let Some(known) = self.known.get_mut(&content, now) {
            known.fate = fate;
        }
        match fate {
            Fate::Valid => self.pass_on(validation),
            Fate::Invalid => {
                let senders: BTreeSet<Peer> =
                    validation.variants.iter().map(|variant| variant.peer).collect();
                for peer in senders {
                    self.penalize(peer, Penalty::serious("an announcement that a module here calls invalid"));
                }
                validation.variants.iter().for_each(|variant| self.verdict(variant, Verdict::Reject));
                self.count(outcome);
            }
            Fate::Unanswered | Fate::Checked => {
                validation.variants.iter().for_each(|variant| self.verdict(variant, Verdict::Drop));
                self.count(outcome);
            }
        }
    }

    /// Forwards what has no limit, and publishes with one hop less what goes furthest of the rest.
    fn pass_on(&mut self, validation: Validation) {
        for variant in &validation.variants {
            let verdict = if variant.hops.is_limited() { Verdict::Drop } else { Verdict::Forward };
            self.verdict(variant, verdict);
        }
        let furthest = validation.variants.iter().map(|variant| variant.hops).max();
        let goes_on = match furthest.map(|hops| (hops.is_limited(), hops.next())) {
            Some((false, _)) => true,
            Some((true, Some(ttl))) => {
                let data = Bytes(validation.data.to_vec());
                self.publish(Announcement { ttl, data_type: validation.data_type, data })
            }
            _ => return self.count(Outcome::LastHop),
        };
        if goes_on {
            self.count(Outcome::PassedOn);
        }
    }
}
