//! What comes from peers, up to the modules.

use super::{
    config::{MAX_CHECKED_BYTES, MAX_VARIANTS},
    copies::Seen,
    event::{CloseReason, Event, Outcome, Verdict},
    known::{Fate, Known},
    machine::Announcements,
    message::{Announcement, ContentId, DataType, Hops, MessageId},
    outgoing::cost,
    validation::{Validation, Variant},
};
use crate::{peer::Peer, penalty::Penalty};
use std::{collections::BTreeMap, sync::Arc};

/// What gossipsub says of a message besides its bytes.
#[derive(Clone, Copy)]
pub(super) struct Topic {
    pub(super) data_type: DataType,
    /// Whether the id holds the origin.
    pub(super) per_origin: bool,
}

impl Announcements {
    pub(super) fn copy(&mut self, peer: Peer, id: MessageId, bytes: usize) {
        self.count(Outcome::Copy);
        match self.copies.count(id, peer, self.now()) {
            Seen::First => {}
            Seen::FromAnother => self.count(Outcome::Duplicate),
            Seen::Again => {
                self.count(Outcome::Duplicate);
                self.count(Outcome::CopyAgain);
                self.penalize(peer, Penalty::slight("the same announcement again"));
            }
        }
        if !self.raw.take(peer, cost(bytes), self.now()) {
            self.count(Outcome::CopiesTooFast);
            self.penalize(peer, Penalty::slight("copies of announcements faster than any mesh brings them"));
        }
    }

    pub(super) fn verdict(&mut self, variant: &Variant, verdict: Verdict) {
        self.emit(Event::Verdict { id: variant.id, peer: variant.peer, verdict });
    }

    fn end(&mut self, variant: &Variant, verdict: Verdict, outcome: Outcome) {
        self.verdict(variant, verdict);
        self.count(outcome);
    }

    pub(super) fn first(&mut self, peer: Peer, id: MessageId, origin: Peer, topic: Topic, bytes: &[u8]) {
        let mut variant = Variant { id, peer, hops: Hops::of(0) };
        if self.modules.subscribers(topic.data_type).is_empty() {
            return self.end(&variant, Verdict::Drop, Outcome::NoSubscriber);
        }
        let announcement = match read(bytes, topic, origin == peer) {
            Ok(announcement) => announcement,
            Err(penalty) => {
                self.penalize(peer, penalty);
                return self.end(&variant, Verdict::Reject, Outcome::Malformed);
            }
        };
        variant.hops = Hops::of(announcement.ttl);
        if !self.origins.take(origin, cost(bytes.len()), self.now()) {
            if origin == peer {
                self.penalize(peer, Penalty::slight("announcements faster than an origin may publish them"));
            }
            return self.end(&variant, Verdict::Drop, Outcome::OriginTooFast);
        }
        if !self.peers.take(peer, cost(bytes.len()), self.now()) {
            return self.end(&variant, Verdict::Drop, Outcome::PeerTooFast);
        }
        self.take(variant, announcement);
    }

    /// An envelope that is one: known already, or new to the modules.
    fn take(&mut self, variant: Variant, announcement: Announcement) {
        let (content, now) = (announcement.content_id(), self.now());
        let Some(known) = self.known.get_mut(&content, now) else {
            return self.ask(variant, announcement, content);
        };
        let goes_further = variant.hops > known.hops;
        known.hops = known.hops.max(variant.hops);
        match known.fate {
            Fate::Checked => self.wait_with(content, variant),
            Fate::Valid => {
                self.count(Outcome::Known);
                if !variant.hops.is_limited() {
                    return self.verdict(&variant, Verdict::Forward);
                }
                self.verdict(&variant, Verdict::Drop);
                if let Some(ttl) = variant.hops.next().filter(|_| goes_further) {
                    self.publish(Announcement { ttl, ..announcement });
                }
            }
            Fate::Invalid => {
                self.penalize(variant.peer, Penalty::serious("an announcement that is known to be invalid"));
                self.end(&variant, Verdict::Reject, Outcome::Invalid);
            }
            Fate::Unanswered => self.end(&variant, Verdict::Drop, Outcome::Known),
        }
    }

    /// Another message with a content that is being validated shares its fate.
    fn wait_with(&mut self, content: ContentId, variant: Variant) {
        match self.validations.get_mut(&content) {
            Some(validation) if validation.variants.len() < MAX_VARIANTS => validation.variants.push(variant),
            _ => self.end(&variant, Verdict::Drop, Outcome::Known),
        }
    }

    /// Asks the modules.
    fn ask(&mut self, variant: Variant, announcement: Announcement, content: ContentId) {
        let data: Arc<[u8]> = announcement.data.0.as_slice().into();
        if self.validations.len() >= self.config.cache_size
            || self.validations.bytes() + data.len() > MAX_CHECKED_BYTES
        {
            return self.end(&variant, Verdict::Drop, Outcome::Busy);
        }
        let data_type = announcement.data_type;
        let mut awaited = BTreeMap::new();
        for module in self.modules.subscribers(data_type) {
            match self.modules.number(module, Some(content)) {
                Some(notification) => {
                    awaited.insert(module, notification);
                    self.emit(Event::Notify { module, notification, data_type, data: data.clone() });
                }
                None => self.close(module, CloseReason::AnswersNothing),
            }
        }
        if awaited.is_empty() {
            return self.end(&variant, Verdict::Drop, Outcome::Abandoned);
        }
        let known = Known { fate: Fate::Checked, hops: variant.hops };
        self.known.insert(content, known, self.now());
        let deadline = self.now() + self.config.validation_timeout;
        let validation =
            Validation { data_type, data, variants: vec![variant], awaited, approved: false, deadline };
        self.validations.insert(content, validation);
    }
}

/// Reads an envelope and checks it by the rules of the protocol.
fn read(bytes: &[u8], topic: Topic, is_of_sender: bool) -> Result<Announcement, Penalty> {
    let announcement = Announcement::decode(bytes)
        .map_err(|error| Penalty::fatal(format!("an announcement that is none: {error}")))?;
    if announcement.data_type != topic.data_type {
        let (found, data_type) = (announcement.data_type, topic.data_type);
        let reason = format!("an announcement of type {found} on the topic of type {data_type}");
        return Err(Penalty::fatal(reason));
    }
    if announcement.data.0.is_empty() {
        return Err(Penalty::fatal("an announcement without data"));
    }
    if Hops::of(announcement.ttl).is_limited() != topic.per_origin {
        return Err(Penalty::fatal("an announcement that gossipsub knows otherwise than its TTL asks for"));
    }
    if topic.per_origin && !is_of_sender {
        return Err(Penalty::serious("an announcement with a TTL that was forwarded as it was"));
    }
    Ok(announcement)
}
