//! The behaviour: asks trackers, and tells what came of it.

use super::{
    MAX_TTL, MIN_TTL, PROTOCOL,
    codec::Codec,
    record::{Record, SignedRecord},
    wire::{MAX_RECORDS, Namespace, Request, Response},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    request_response::{self, Message, OutboundRequestId, ProtocolSupport},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
    },
};
use std::{
    collections::BTreeMap,
    task::{Context, Poll},
    time::Duration,
};

/// Most requests that are under way.
const MAX_UNDER_WAY: usize = 256;

/// Most cookies that are kept, one for each tracker and namespace.
const MAX_COOKIES: usize = 256;

/// After this time without an answer a request has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To be registered, or that it stays so.
    Register,
    /// To be forgotten.
    Unregister,
    /// Who is registered.
    Discover,
}

/// From where on to discover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// All that are registered.
    Beginning,
    /// Those that the tracker has not named yet.
    LastTime,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node is registered.
    Registered {
        /// Where.
        tracker: PeerId,
        /// Under which name.
        namespace: Namespace,
        /// For how long, [`MIN_TTL`] to [`MAX_TTL`], and not longer than was asked.
        ttl: Duration,
    },
    /// The tracker knows these peers.
    Discovered {
        /// Who says so.
        tracker: PeerId,
        /// Under which name.
        namespace: Namespace,
        /// One record for each peer, each signed by its peer; at most [`MAX_RECORDS`].
        records: Vec<Record>,
        /// Records that did not count: of another name, twice, too many, or not signed by the peer they name.
        ignored: usize,
    },
    /// The tracker has taken leave of this node.
    Unregistered {
        /// Where.
        tracker: PeerId,
        /// Under which name.
        namespace: Namespace,
    },
    /// The tracker did not do it, or did not answer, or what it sent is no answer.
    Failed {
        /// Who.
        tracker: PeerId,
        /// Under which name.
        namespace: Namespace,
        /// What was asked.
        asked: Asked,
        /// Why.
        reason: String,
    },
}

/// Too many requests are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_UNDER_WAY} requests to trackers are under way already")]
pub struct Busy;

/// The behaviour.
pub struct Behaviour {
    inner: request_response::Behaviour<Codec>,
    under_way: BTreeMap<OutboundRequestId, Question>,
    cookies: BTreeMap<(PeerId, Namespace), Vec<u8>>,
}

struct Question {
    tracker: PeerId,
    namespace: Namespace,
    asked: Asked,
    ttl: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        let config = request_response::Config::default().with_request_timeout(TIMEOUT);
        let protocols = [(PROTOCOL, ProtocolSupport::Outbound)];
        Self {
            inner: request_response::Behaviour::with_codec(Codec, protocols, config),
            under_way: BTreeMap::new(),
            cookies: BTreeMap::new(),
        }
    }
}

impl Behaviour {
    /// Asks a tracker to register this node, or to keep it registered. A connection to the tracker is dialled if
    /// there is none and an address is known.
    ///
    /// # Errors
    /// When too much is under way.
    pub fn register(
        &mut self,
        tracker: PeerId,
        namespace: Namespace,
        record: SignedRecord,
        ttl: Duration,
    ) -> Result<(), Busy> {
        let ttl = ttl.clamp(MIN_TTL, MAX_TTL);
        let request = Request::Register { namespace: namespace.clone(), record, ttl_seconds: ttl.as_secs() };
        self.ask(request, Question { tracker, namespace, asked: Asked::Register, ttl })
    }

    /// Asks a tracker to forget this node.
    ///
    /// # Errors
    /// When too much is under way.
    pub fn unregister(&mut self, tracker: PeerId, namespace: Namespace) -> Result<(), Busy> {
        let request = Request::Unregister { namespace: namespace.clone() };
        self.ask(request, Question { tracker, namespace, asked: Asked::Unregister, ttl: MIN_TTL })
    }

    /// Asks a tracker for up to `limit` peers, at most [`MAX_RECORDS`].
    ///
    /// # Errors
    /// When too much is under way.
    pub fn discover(
        &mut self,
        tracker: PeerId,
        namespace: Namespace,
        since: Since,
        limit: usize,
    ) -> Result<(), Busy> {
        let cookie = match since {
            Since::Beginning => None,
            Since::LastTime => self.cookies.get(&(tracker, namespace.clone())).cloned(),
        };
        let limit = limit.min(MAX_RECORDS) as u64;
        let request = Request::Discover { namespace: namespace.clone(), limit, cookie };
        self.ask(request, Question { tracker, namespace, asked: Asked::Discover, ttl: MIN_TTL })
    }

    fn ask(&mut self, request: Request, question: Question) -> Result<(), Busy> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return Err(Busy);
        }
        let id = self.inner.send_request(&question.tracker, request);
        self.under_way.insert(id, question);
        Ok(())
    }

    fn event(&mut self, event: request_response::Event<Request, Response>) -> Option<Event> {
        match event {
            request_response::Event::Message {
                message: Message::Response { request_id, response }, ..
            } => {
                let question = self.under_way.remove(&request_id)?;
                Some(self.answered(question, response))
            }
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                let Question { tracker, namespace, asked, .. } = self.under_way.remove(&request_id)?;
                Some(Event::Failed { tracker, namespace, asked, reason: error.to_string() })
            }
            // Requests are not served, so nothing comes in.
            _ => None,
        }
    }

    fn answered(&mut self, question: Question, response: Response) -> Event {
        let Question { tracker, namespace, asked, ttl } = question;
        match (asked, response) {
            (Asked::Register, Response::Registered { ttl_seconds }) => {
                let granted = ttl_seconds.map_or(ttl, Duration::from_secs);
                Event::Registered { tracker, namespace, ttl: granted.min(ttl).max(MIN_TTL) }
            }
            (Asked::Unregister, Response::Nothing) => Event::Unregistered { tracker, namespace },
            (Asked::Discover, Response::Discovered { records, ignored, cookie }) => {
                self.keep_cookie(tracker, &namespace, cookie);
                let said = records.len();
                let of_it = records.into_iter().filter(|(under, _)| *under == namespace);
                let records: Vec<Record> = of_it.map(|(_, record)| record).collect();
                let ignored = ignored + said - records.len();
                Event::Discovered { tracker, namespace, records, ignored }
            }
            (_, Response::Refused(reason)) => {
                // The cookie may be what it does not like.
                self.cookies.remove(&(tracker, namespace.clone()));
                Event::Failed { tracker, namespace, asked, reason: format!("the tracker refused: {reason}") }
            }
            _ => {
                let reason = "the answer does not belong to the question".into();
                Event::Failed { tracker, namespace, asked, reason }
            }
        }
    }

    fn keep_cookie(&mut self, tracker: PeerId, namespace: &Namespace, cookie: Option<Vec<u8>>) {
        let key = (tracker, namespace.clone());
        match cookie {
            Some(cookie) if self.cookies.len() < MAX_COOKIES || self.cookies.contains_key(&key) => {
                self.cookies.insert(key, cookie);
            }
            _ => drop(self.cookies.remove(&key)),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <request_response::Behaviour<Codec> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        loop {
            match std::task::ready!(self.inner.poll(cx)) {
                ToSwarm::GenerateEvent(event) => {
                    if let Some(event) = self.event(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                other => {
                    return Poll::Ready(other.map_out(|_| unreachable!("events are mapped above")));
                }
            }
        }
    }
}
