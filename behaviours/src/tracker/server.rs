//! The behaviour: takes requests, asks the table, answers.

use super::{
    Config,
    block::AddressBlock,
    buckets::Buckets,
    codec::{Answer, Codec},
    registrations::Registrations,
};
use crate::rendezvous::{
    Namespace, PROTOCOL,
    record::Record,
    wire::{Incoming, MAX_RECORDS, MAX_RESPONSE_BYTES},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    request_response::{self, Message, ProtocolSupport},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Most requests of one connection that are under way.
const MAX_UNDER_WAY: usize = 8;

/// After this time a request that does not end is dropped.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are left for what is around the records.
const MARGIN_BYTES: usize = 32 << 10;

/// Bits of a cookie that count registrations; those above are of this tracker's run.
const NUMBER_BITS: u32 = 40;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// No namespace, or none that can be.
    #[error("no namespace, or one that is too long")]
    InvalidNamespace,
    /// No record, or none that its peer has signed.
    #[error("no record that its peer has signed")]
    NotSigned,
    /// The record of somebody else.
    #[error("the record of another peer")]
    NotAuthorized,
    /// The peer has registered under too many names.
    #[error("too many registrations of this peer")]
    PeerFull,
    /// Too many are registered from addresses near this one.
    #[error("too many registrations from addresses near this one")]
    BlockFull,
    /// Too many are registered.
    #[error("too many registrations")]
    TrackerFull,
    /// Too many requests from this peer, or from addresses near it.
    #[error("too many requests; ask less often")]
    TooOften,
}

/// What happens at a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer has registered, or renewed.
    Registered {
        /// Who.
        peer: PeerId,
        /// Under which name.
        namespace: Namespace,
    },
    /// A peer has left.
    Unregistered {
        /// Who.
        peer: PeerId,
        /// Under which name.
        namespace: Namespace,
    },
    /// A peer was told of so many others.
    Told {
        /// Who.
        peer: PeerId,
        /// How many.
        records: usize,
    },
    /// A request was refused.
    Refused {
        /// Whose.
        peer: PeerId,
        /// Why.
        reason: RefusalReason,
    },
}

/// The behaviour.
pub struct Behaviour {
    inner: request_response::Behaviour<Codec>,
    registrations: Registrations,
    blocks: BTreeMap<ConnectionId, AddressBlock>,
    of_peers: Buckets<PeerId>,
    of_blocks: Buckets<AddressBlock>,
    /// What the cookies of this run begin with.
    run: u64,
}

impl Behaviour {
    /// A tracker without registrations.
    pub fn new(config: Config) -> Self {
        let limits = request_response::Config::default()
            .with_request_timeout(TIMEOUT)
            .with_max_concurrent_streams(MAX_UNDER_WAY);
        Self {
            inner: request_response::Behaviour::with_codec(
                Codec,
                [(PROTOCOL, ProtocolSupport::Inbound)],
                limits,
            ),
            of_peers: Buckets::new(config.per_peer),
            of_blocks: Buckets::new(config.per_block),
            registrations: Registrations::new(config),
            blocks: BTreeMap::new(),
            // The standard library's source of randomness: two runs should differ, nothing more.
            run: RandomState::new().hash_one(0) >> NUMBER_BITS,
        }
    }

    /// Registrations that are alive.
    pub fn registrations(&mut self) -> usize {
        self.registrations.expire(Instant::now());
        self.registrations.len()
    }

    /// The answer to a request, if it gets one, and what happened.
    fn serve(
        &mut self,
        peer: PeerId,
        block: AddressBlock,
        request: Incoming,
        now: Instant,
    ) -> (Option<Answer>, Event) {
        let in_time = self.of_peers.take(&peer, now) && self.of_blocks.take(&block, now);
        match request {
            Incoming::Register { namespace, record, ttl } => {
                let registered = if in_time {
                    self.register(peer, block, namespace, record, ttl.map(Duration::from_secs), now)
                } else {
                    Err(RefusalReason::TooOften)
                };
                match registered {
                    Ok((namespace, ttl)) => {
                        let answer = Answer::Registered { ttl_seconds: ttl.as_secs() };
                        (Some(answer), Event::Registered { peer, namespace })
                    }
                    Err(reason) => (Some(Answer::NotRegistered(reason)), Event::Refused { peer, reason }),
                }
            }
            // Leaving is always allowed, and has no answer.
            Incoming::Unregister { namespace } => match namespace {
                Some(namespace) => {
                    self.registrations.remove(peer, &namespace);
                    (None, Event::Unregistered { peer, namespace })
                }
                None => (None, Event::Refused { peer, reason: RefusalReason::InvalidNamespace }),
            },
            Incoming::Discover { namespace, limit, cookie } => {
                let reason = match namespace {
                    Some(namespace) if in_time => return self.tell(peer, &namespace, limit, cookie, now),
                    Some(_) => RefusalReason::TooOften,
                    None => RefusalReason::InvalidNamespace,
                };
                (Some(Answer::NotDiscovered(reason)), Event::Refused { peer, reason })
            }
        }
    }

    fn register(
        &mut self,
        peer: PeerId,
        block: AddressBlock,
        namespace: Option<Namespace>,
        record: Option<Vec<u8>>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(Namespace, Duration), RefusalReason> {
        let namespace = namespace.ok_or(RefusalReason::InvalidNamespace)?;
        let bytes = record.ok_or(RefusalReason::NotSigned)?;
        let record = Record::read(&bytes).map_err(|_| RefusalReason::NotSigned)?;
        if record.peer != peer {
            return Err(RefusalReason::NotAuthorized);
        }
        let ttl = self.registrations.register(peer, block, namespace.clone(), bytes, ttl, now)?;
        Ok((namespace, ttl))
    }

    fn tell(
        &mut self,
        peer: PeerId,
        namespace: &Namespace,
        limit: Option<u64>,
        cookie: Option<Vec<u8>>,
        now: Instant,
    ) -> (Option<Answer>, Event) {
        let limit = limit.map_or(MAX_RECORDS, |limit| limit.min(MAX_RECORDS as u64) as usize);
        let after = cookie.and_then(|cookie| self.number_in(&cookie)).unwrap_or(0);
        let bytes = MAX_RESPONSE_BYTES - MARGIN_BYTES;
        let page = self.registrations.discover(namespace, after, limit, bytes, now);
        let event = Event::Told { peer, records: page.records.len() };
        let namespace = namespace.to_string();
        // libp2p's client reads a cookie as eight bytes and the name.
        let cookie = [&(self.run << NUMBER_BITS | page.last).to_be_bytes(), namespace.as_bytes()].concat();
        (Some(Answer::Discovered { namespace, records: page.records, cookie }), event)
    }

    /// The number in a cookie of this run.
    fn number_in(&self, cookie: &[u8]) -> Option<u64> {
        let number = u64::from_be_bytes(*cookie.first_chunk()?);
        (number >> NUMBER_BITS == self.run).then_some(number & ((1 << NUMBER_BITS) - 1))
    }

    fn event(&mut self, event: request_response::Event<Incoming, Answer>) -> Option<Event> {
        let request_response::Event::Message {
            peer,
            connection_id,
            message: Message::Request { request, channel, .. },
        } = event
        else {
            return None;
        };
        let block = self.blocks.get(&connection_id).copied().unwrap_or(AddressBlock::Other);
        let (answer, event) = self.serve(peer, block, request, Instant::now());
        if let Some(answer) = answer {
            // The peer may have gone meanwhile.
            let _ = self.inner.send_response(channel, answer);
        }
        Some(event)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <request_response::Behaviour<Codec> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.blocks.insert(connection, AddressBlock::of(remote));
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
        self.blocks.insert(connection, AddressBlock::of(address));
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.blocks.remove(&connection_id);
            }
            FromSwarm::ListenFailure(failure) => drop(self.blocks.remove(&failure.connection_id)),
            FromSwarm::DialFailure(failure) => drop(self.blocks.remove(&failure.connection_id)),
            _ => {}
        }
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
                other => return Poll::Ready(other.map_out(|_| unreachable!("events are mapped above"))),
            }
        }
    }
}
