//! Gossipsub as the node sees it: peers whose gate is open, topics by number, messages by hash.

use super::{
    gate::{Command, Gate, Inbound},
    intake::{Intake, message_id, unwrap, wrap},
    setup::{Config, Gossipsub, topic_score},
    topics::Topics,
};
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    gossipsub::{self, MessageAcceptance, MessageId, PublishError},
    identity::Keypair,
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll, Waker},
    time::Instant,
};

/// What happens on the topics.
#[derive(Debug)]
pub enum Event {
    /// A copy of a message came, the first or not.
    Copy {
        /// From whom.
        peer: PeerId,
        /// The message.
        id: [u8; 32],
        /// Its length, in bytes.
        bytes: usize,
    },
    /// The first copy came, after its [`Event::Copy`]; to be answered with [`Behaviour::answer`].
    First {
        /// From whom.
        peer: PeerId,
        /// Who signed it.
        origin: PeerId,
        /// The message.
        id: [u8; 32],
        /// The data type of its topic.
        data_type: u16,
        /// Whether its id holds its author.
        per_author: bool,
        /// The message.
        data: Vec<u8>,
    },
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is forwarded.
    Forward,
    /// It is not, and nobody is to blame.
    Drop,
    /// It is not, and those who sent it lose score.
    Reject,
}

/// Why a message is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// It is known already.
    #[error("it is known already")]
    Known,
    /// No peer is subscribed to its topic.
    #[error("no connected peer is subscribed to the topic")]
    NobodySubscribed,
    /// All peers that are subscribed are behind.
    #[error("the queues of all subscribed peers are full")]
    AllBehind,
    /// It is longer than the protocol allows, or cannot be signed.
    #[error("it is too long or cannot be signed")]
    Unfit,
}

struct Connected {
    /// In the order in which they were established.
    connections: Vec<(ConnectionId, ConnectedPoint)>,
    is_open: bool,
    /// The connection that gossipsub knows.
    attached: Option<(ConnectionId, ConnectedPoint)>,
}

/// The behaviour.
pub struct Behaviour {
    config: Config,
    topics: Topics,
    intake: Intake,
    gossipsub: Gossipsub,
    /// How substreams are accepted while a gate is closed.
    inbound: Inbound,
    peers: BTreeMap<PeerId, Connected>,
    /// Messages that gossipsub holds since they were accepted, the oldest first.
    accepted: VecDeque<(Instant, PeerId, [u8; 32])>,
    subscriptions: usize,
    actions: VecDeque<ToSwarm<Event, Command>>,
    waker: Option<Waker>,
}

impl Behaviour {
    /// Announcements signed with this key.
    pub fn new(keypair: &Keypair, config: Config) -> Self {
        let topics = Topics::new(config.name.clone());
        let intake = Intake::new(topics.clone());
        let gossipsub = config.build(keypair, &topics, intake.clone());
        let inbound = inbound_protocol(keypair, &config, &topics);
        Self {
            config,
            topics,
            intake,
            gossipsub,
            inbound,
            peers: BTreeMap::new(),
            accepted: VecDeque::new(),
            subscriptions: 0,
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens the gate of a connected peer: its handshake is done.
    pub fn open(&mut self, peer: PeerId) {
        if let Some(connected) = self.peers.get_mut(&peer) {
            connected.is_open = true;
            self.attach(peer);
        }
    }

    /// Closes the gate of a peer.
    pub fn close(&mut self, peer: PeerId) {
        if let Some(connected) = self.peers.get_mut(&peer) {
            connected.is_open = false;
            self.detach(peer, true);
        }
    }

    /// Takes messages of a data type.
    pub fn subscribe(&mut self, data_type: u16) {
        let topic = self.topics.topic(data_type);
        self.intake.subscribe(data_type);
        let judged = self.gossipsub.set_topic_params(topic.clone(), topic_score());
        if let Err(error) = judged
            .map_err(str::to_owned)
            .and_then(|()| self.gossipsub.subscribe(&topic).map(drop).map_err(|error| error.to_string()))
        {
            tracing::warn!(data_type, error, "cannot subscribe to announcements");
        }
        self.wake();
    }

    /// Takes no more messages of a data type.
    pub fn unsubscribe(&mut self, data_type: u16) {
        self.intake.unsubscribe(data_type);
        self.gossipsub.unsubscribe(&self.topics.topic(data_type));
        self.wake();
    }

    /// Publishes a message to all peers that are subscribed to its topic. One that is known `per_author` spreads even
    /// where another author's message of the same bytes is known.
    ///
    /// # Errors
    /// When it goes to nobody.
    pub fn publish(&mut self, data_type: u16, data: &[u8], per_author: bool) -> Result<(), NotPublished> {
        let published = self.gossipsub.publish(self.topics.topic(data_type), wrap(data, per_author));
        self.wake();
        published.map(drop).map_err(|error| match error {
            PublishError::Duplicate => NotPublished::Known,
            PublishError::NoPeersSubscribedToTopic => NotPublished::NobodySubscribed,
            PublishError::AllQueuesFull(_) => NotPublished::AllBehind,
            _ => NotPublished::Unfit,
        })
    }

    /// Says what becomes of a message whose first copy came from `peer`.
    pub fn answer(&mut self, id: [u8; 32], peer: PeerId, acceptance: Acceptance) {
        let answer = match acceptance {
            Acceptance::Forward => MessageAcceptance::Accept,
            Acceptance::Drop => MessageAcceptance::Ignore,
            Acceptance::Reject => MessageAcceptance::Reject,
        };
        let is_held = self.gossipsub.report_message_validation_result(&MessageId::new(&id), &peer, answer);
        if is_held && acceptance == Acceptance::Forward {
            self.accepted.push_back((Instant::now(), peer, id));
            self.let_go();
        }
        self.wake();
    }

    /// How many subscriptions of peers are known, each peer and topic counted.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Has gossipsub forget the oldest messages beyond the bound.
    fn let_go(&mut self) {
        let kept_for = self.config.kept_for();
        while let Some((since, peer, id)) = self.accepted.front().copied() {
            let is_gone = since.elapsed() >= kept_for;
            if !is_gone && self.accepted.len() <= self.config.cache_size {
                break;
            }
            self.accepted.pop_front();
            if !is_gone {
                let id = MessageId::new(&id);
                self.gossipsub.report_message_validation_result(&id, &peer, MessageAcceptance::Ignore);
            }
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Tells gossipsub of a peer whose gate is open, over its oldest connection.
    fn attach(&mut self, peer: PeerId) {
        let Some(connected) =
            self.peers.get_mut(&peer).filter(|peer| peer.is_open && peer.attached.is_none())
        else {
            return;
        };
        let Some((connection, endpoint)) = connected.connections.first().cloned() else { return };
        let remote = endpoint.get_remote_address();
        let handler = match &endpoint {
            ConnectedPoint::Dialer { role_override, port_use, .. } => self
                .gossipsub
                .handle_established_outbound_connection(connection, peer, remote, *role_override, *port_use),
            ConnectedPoint::Listener { local_addr, .. } => {
                self.gossipsub.handle_established_inbound_connection(connection, peer, local_addr, remote)
            }
        };
        // Gossipsub takes every connection.
        let Ok(handler) = handler else { return };
        self.gossipsub.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        connected.attached = Some((connection, endpoint));
        self.command(peer, connection, Command::Attach(Box::new(handler)));
    }

    /// Tells gossipsub that a peer has gone; its handler, too, if the connection is still there.
    fn detach(&mut self, peer: PeerId, is_connected: bool) {
        let Some(attached) = self.peers.get_mut(&peer).and_then(|connected| connected.attached.take()) else {
            return;
        };
        let (connection, endpoint) = attached;
        self.gossipsub.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
        if is_connected {
            self.command(peer, connection, Command::Detach);
        }
        self.count_subscriptions();
    }

    fn count_subscriptions(&mut self) {
        self.subscriptions = self.gossipsub.all_peers().map(|(_, topics)| topics.len()).sum();
    }

    fn command(&mut self, peer_id: PeerId, connection: ConnectionId, event: Command) {
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
        self.wake();
    }

    /// What gossipsub's own event means to the user.
    fn translate(&mut self, event: gossipsub::Event) -> Option<Event> {
        let (peer, message) = match event {
            gossipsub::Event::Message { propagation_source, message, .. } => (propagation_source, message),
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => {
                self.count_subscriptions();
                return None;
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a peer is too slow for announcements");
                return None;
            }
            gossipsub::Event::GossipsubNotSupported { .. } => return None,
        };
        let data_type = self.topics.data_type(&message.topic)?;
        // Strict validation has seen the author and its signature.
        let origin = message.source?;
        let id = message_id(&message.data, Some(&origin));
        let (data, per_author) = unwrap(message.data)?;
        Some(Event::First { peer, origin, id, data_type, per_author, data })
    }
}

/// How gossipsub accepts substreams: asked of one that is made for the question, because only handlers know.
fn inbound_protocol(keypair: &Keypair, config: &Config, topics: &Topics) -> Inbound {
    let mut asked = config.build(keypair, topics, Intake::new(topics.clone()));
    let (nowhere, nobody) = (Multiaddr::empty(), keypair.public().to_peer_id());
    asked
        .handle_established_inbound_connection(ConnectionId::new_unchecked(0), nobody, &nowhere, &nowhere)
        .expect("gossipsub takes every connection")
        .listen_protocol()
        .into_upgrade()
        .0
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Gate;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Gate::new(self.inbound.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Gate::new(self.inbound.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let connected = self.peers.entry(peer_id).or_insert_with(|| Connected {
                    connections: Vec::new(),
                    is_open: false,
                    attached: None,
                });
                connected.connections.push((connection_id, endpoint.clone()));
                self.attach(peer_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                let Some(connected) = self.peers.get_mut(&peer_id) else { return };
                connected.connections.retain(|(id, _)| *id != connection_id);
                let is_last = connected.connections.is_empty();
                if connected.attached.as_ref().is_some_and(|(id, _)| *id == connection_id) {
                    self.detach(peer_id, false);
                    self.attach(peer_id);
                }
                if is_last {
                    self.peers.remove(&peer_id);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let attached = self.peers.get(&peer).and_then(|connected| connected.attached.as_ref());
        if attached.is_none_or(|(id, _)| *id != connection) {
            return;
        }
        self.gossipsub.on_connection_handler_event(peer, connection, event);
        for (id, bytes) in self.intake.take() {
            self.actions.push_back(ToSwarm::GenerateEvent(Event::Copy { peer, id, bytes }));
        }
        self.wake();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            match self.gossipsub.poll(cx) {
                Poll::Ready(ToSwarm::GenerateEvent(event)) => {
                    if let Some(event) = self.translate(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                // Nobody is dialled on gossipsub's behalf: whom to know is not its matter.
                Poll::Ready(ToSwarm::Dial { .. }) => {}
                Poll::Ready(other) => {
                    return Poll::Ready(
                        other.map_in(Command::Inner).map_out(|_| unreachable!("events are taken above")),
                    );
                }
                Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}
