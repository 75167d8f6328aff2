//! The machine: what modules want, and the outputs of all its parts.

use super::{
    config::{Config, MAX_BUCKETS},
    copies::Copies,
    event::{CloseReason, Command, Event, ModuleId, Outcome},
    known::{Fate, Known, Window},
    message::{Announcement, DataType, Hops, MAX_DATA_BYTES, MessageId, content_id},
    modules::{Modules, Subscribed},
    outgoing::{Outgoing, Waiting},
    receiving::Topic,
    validation::Validations,
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
    token_bucket::TokenBuckets,
};
use conclave_ledger::bytes::Bytes;
use std::{collections::VecDeque, sync::Arc};

/// What gossipsub brings.
#[derive(Clone, Debug)]
pub enum Message {
    /// A copy of a message, the first or not; said of each, before [`Message::First`].
    Copy {
        /// The message.
        id: MessageId,
        /// Its length.
        bytes: usize,
    },
    /// The first copy; answered by one [`Event::Verdict`].
    First {
        /// The message.
        id: MessageId,
        /// Whose signature it carries; gossipsub has verified it.
        origin: Peer,
        /// The data type of the topic.
        data_type: DataType,
        /// Whether its id holds its origin, as that of every message with a TTL does.
        per_origin: bool,
        /// The envelope.
        bytes: Vec<u8>,
    },
}

/// The machine.
pub struct Announcements {
    pub(super) config: Config,
    pub(super) modules: Modules,
    pub(super) known: Window,
    pub(super) copies: Copies,
    pub(super) validations: Validations,
    pub(super) origins: TokenBuckets<Peer>,
    pub(super) peers: TokenBuckets<Peer>,
    /// All copies of a peer.
    pub(super) raw: TokenBuckets<Peer>,
    outgoing: Outgoing,
    now: Time,
    outputs: VecDeque<Output<Self>>,
}

impl Announcements {
    /// A machine without modules.
    pub fn new(config: Config) -> Self {
        let config = config.checked();
        Self {
            modules: Modules::default(),
            known: Window::new(config.duplicate_window),
            copies: Copies::new(config.duplicate_window),
            validations: Validations::default(),
            origins: TokenBuckets::new(config.origin, MAX_BUCKETS),
            peers: TokenBuckets::new(config.peer, MAX_BUCKETS),
            raw: TokenBuckets::new(config.copies, MAX_BUCKETS),
            outgoing: Outgoing::new(config.origin),
            now: Time(0),
            config,
            outputs: VecDeque::new(),
        }
    }

    /// Subscriptions of local modules, each module and type counted.
    pub fn subscriptions(&self) -> usize {
        self.modules.subscriptions()
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        self.emit(Event::Outcome(outcome));
    }

    pub(super) fn penalize(&mut self, peer: Peer, penalty: crate::penalty::Penalty) {
        self.outputs.push_back(Output::Penalize(peer, penalty));
    }

    fn notify(&mut self, module: ModuleId, data_type: DataType) {
        match self.modules.subscribe(module, data_type) {
            Subscribed::Already => {}
            Subscribed::First => self.emit(Event::Subscribe(data_type)),
            Subscribed::TooMany => self.close(module, CloseReason::TooManyTypes),
        }
    }

    fn announce(&mut self, module: ModuleId, ttl: u8, data_type: DataType, data: Vec<u8>) {
        if data.is_empty() {
            return self.close(module, CloseReason::NoData);
        }
        if data.len() > MAX_DATA_BYTES {
            return self.close(module, CloseReason::TooMuchData { found: data.len() });
        }
        let (id, hops, now) = (content_id(data_type, &data), Hops::of(ttl), self.now);
        match self.known.get_mut(&id, now) {
            // What is being validated spreads, or not, by what the modules say.
            Some(known) if known.fate == Fate::Checked || known.hops >= hops => {
                return self.count(Outcome::AnnouncedAgain);
            }
            Some(known) => *known = Known { fate: Fate::Valid, hops },
            None => {
                self.known.insert(id, Known { fate: Fate::Valid, hops }, now);
                self.notify_others(module, data_type, data.as_slice().into());
            }
        }
        if self.publish(Announcement { ttl, data_type, data: Bytes(data) }) {
            self.count(Outcome::Announced);
        }
    }

    /// Tells the other subscribers of what a module here announced; nothing hangs on their answers.
    fn notify_others(&mut self, announcer: ModuleId, data_type: DataType, data: Arc<[u8]>) {
        for module in self.modules.subscribers(data_type) {
            if module == announcer {
                continue;
            }
            match self.modules.number(module, None) {
                Some(notification) => {
                    self.emit(Event::Notify { module, notification, data_type, data: data.clone() });
                }
                None => self.close(module, CloseReason::AnswersNothing),
            }
        }
    }

    /// Puts an announcement of this node's own, or one with a TTL that it passes on, into the queue; false if the
    /// queue is full.
    pub(super) fn publish(&mut self, announcement: Announcement) -> bool {
        let queued = self.outgoing.push(Waiting {
            data_type: announcement.data_type,
            per_origin: Hops::of(announcement.ttl).is_limited(),
            bytes: announcement.encode().into(),
        });
        if !queued {
            self.count(Outcome::PublishedTooFast);
        }
        queued
    }

    /// Disconnects a module, which has then left.
    pub(super) fn close(&mut self, module: ModuleId, reason: CloseReason) {
        self.emit(Event::Close { module, reason });
        self.left(module);
    }

    fn left(&mut self, module: ModuleId) {
        for content in self.modules.remove(module, self.now) {
            self.no_longer_awaited(content, module);
        }
    }

    fn flush(&mut self) {
        while let Some(Waiting { data_type, per_origin, bytes }) = self.outgoing.pop(self.now) {
            self.emit(Event::Publish { data_type, per_origin, bytes });
        }
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }
}

impl Machine for Announcements {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        self.now = self.now.max(now);
        match input {
            // Gossipsub knows the neighbours; buckets and blame outlast a connection.
            Input::Connected(_) | Input::Disconnected(_) => {}
            Input::Received(peer, Message::Copy { id, bytes }) => self.copy(peer, id, bytes),
            Input::Received(peer, Message::First { id, origin, data_type, per_origin, bytes }) => {
                let topic = Topic { data_type, per_origin };
                self.first(peer, id, origin, topic, &bytes);
            }
            Input::Command(Command::Notify { module, data_type }) => self.notify(module, data_type),
            Input::Command(Command::Announce { module, ttl, data_type, data }) => {
                self.announce(module, ttl, data_type, data);
            }
            Input::Command(Command::Validate { module, notification, valid }) => {
                match self.modules.answer(module, notification) {
                    Ok(Some(content)) => self.answered(content, module, valid),
                    Ok(None) => {}
                    Err(()) => self.close(module, CloseReason::UnknownNotification(notification)),
                }
            }
            Input::Command(Command::Left(module)) => self.left(module),
        }
        self.flush();
    }

    fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(data_type) = self.modules.pop_lingered(self.now) {
            self.emit(Event::Unsubscribe(data_type));
        }
        self.time_out();
        self.flush();
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let due = [self.modules.next_lingered(), self.validations.next(), self.outgoing.next(self.now)];
        due.into_iter().flatten().min()
    }
}
