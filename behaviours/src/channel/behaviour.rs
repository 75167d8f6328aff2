//! The channels of all peers: which connection of a peer carries what is sent, and how much may wait for it.

use super::{
    frame::FrameError,
    handler::{Command, Handler, Lane, Lanes, Report},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Configuration of a channel.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the protocol, such as `/conclave/1a2b3c4d5e6f7081/consensus/1`; bulk frames use it with `/bulk`.
    pub name: String,
    /// Longest frame, in bytes; a longer one ends the inbound substream with [`Event::Malformed`].
    pub max_frame_bytes: usize,
    /// Bytes that may wait to be sent to one peer; beyond that [`SendError::QueueFull`].
    pub max_queued_bytes: usize,
}

impl Config {
    pub(super) fn protocol(&self, bulk: bool) -> StreamProtocol {
        let name = if bulk { format!("{}/bulk", self.name) } else { self.name.clone() };
        StreamProtocol::try_from_owned(name).expect("the composition gives names that begin with a slash")
    }
}

/// Why a frame is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The channel to the peer is not open.
    #[error("the channel to the peer is not open")]
    NotOpen,
    /// Too much waits for the peer already.
    #[error("{0} bytes wait for the peer already")]
    QueueFull(usize),
    /// The frame is longer than the protocol allows.
    #[error("a frame of {length} bytes, more than the {limit} allowed")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
        /// Length allowed, in bytes.
        limit: usize,
    },
}

/// What happens on channels.
#[derive(Debug)]
pub enum Event {
    /// Frames can be sent; said again when another connection takes over, after which the users resend.
    Opened {
        /// To whom.
        peer: PeerId,
    },
    /// No connection carries the channel any more.
    Closed {
        /// To whom.
        peer: PeerId,
    },
    /// A frame came.
    Received {
        /// From whom.
        peer: PeerId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// A peer has opened its side before the gate was opened. Nothing is read of it; [`Behaviour::close`] ends it.
    Early {
        /// Who.
        peer: PeerId,
    },
    /// A peer sent what is not a sequence of frames; its substream is closed.
    Malformed {
        /// Who.
        peer: PeerId,
        /// What is wrong.
        error: FrameError,
    },
}

#[derive(Default)]
struct Peer {
    /// In the order in which they were established; the first carries what is sent.
    connections: Vec<ConnectionId>,
    is_open: bool,
    queued: Arc<AtomicUsize>,
}

/// The behaviour.
pub struct Behaviour {
    config: Config,
    lanes: Lanes,
    peers: BTreeMap<PeerId, Peer>,
    actions: VecDeque<ToSwarm<Event, Command>>,
    waker: Option<Waker>,
}

impl Behaviour {
    /// Channels of one protocol.
    pub fn new(config: Config) -> Self {
        let lanes = Lanes::of(&config);
        Self { config, lanes, peers: BTreeMap::new(), actions: VecDeque::new(), waker: None }
    }

    /// Opens the gate of a peer: its handshake is done.
    pub fn open(&mut self, peer: PeerId) {
        let state = self.peers.entry(peer).or_default();
        state.is_open = true;
        self.direct(peer);
    }

    /// Closes the gate of a peer; what waits is dropped.
    pub fn close(&mut self, peer: PeerId) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.is_open = false;
            for connection in state.connections.clone() {
                self.notify(peer, connection, Command::Close);
            }
        }
    }

    /// Sends a frame after all those of its kind that were sent before; bulk frames have a substream of their own.
    ///
    /// # Errors
    /// When the channel is not open, the frame too long, or too much waits already.
    pub fn send(&mut self, peer: PeerId, frame: Arc<[u8]>, bulk: bool) -> Result<(), SendError> {
        let limit = self.config.max_frame_bytes;
        if frame.len() > limit {
            return Err(SendError::TooLong { length: frame.len(), limit });
        }
        let state = self.peers.get(&peer).filter(|state| state.is_open).ok_or(SendError::NotOpen)?;
        let primary = *state.connections.first().ok_or(SendError::NotOpen)?;
        let waiting = state.queued.load(Ordering::Relaxed);
        if waiting + frame.len() > self.config.max_queued_bytes {
            return Err(SendError::QueueFull(waiting));
        }
        state.queued.fetch_add(frame.len(), Ordering::Relaxed);
        let lane = if bulk { Lane::Bulk } else { Lane::Small };
        self.notify(peer, primary, Command::Send(lane, frame));
        Ok(())
    }

    /// Bytes that wait to be sent to a peer.
    pub fn queued_bytes(&self, peer: &PeerId) -> usize {
        self.peers.get(peer).map_or(0, |state| state.queued.load(Ordering::Relaxed))
    }

    fn notify(&mut self, peer_id: PeerId, connection: ConnectionId, event: Command) {
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Tells the handlers of an open peer which of them is the primary one.
    fn direct(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get(&peer).filter(|state| state.is_open) else { return };
        for (position, connection) in state.connections.clone().into_iter().enumerate() {
            self.notify(peer, connection, Command::Open { primary: position == 0 });
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let queued = self.peers.entry(peer).or_default().queued.clone();
        Ok(Handler::new(self.lanes.clone(), self.config.max_frame_bytes, queued))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let queued = self.peers.entry(peer).or_default().queued.clone();
        Ok(Handler::new(self.lanes.clone(), self.config.max_frame_bytes, queued))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.peers.entry(peer_id).or_default().connections.push(connection_id);
                self.direct(peer_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                let Some(state) = self.peers.get_mut(&peer_id) else { return };
                let was_primary = state.connections.first() == Some(&connection_id);
                state.connections.retain(|connection| *connection != connection_id);
                if was_primary {
                    // What waited went with the handler.
                    state.queued.store(0, Ordering::Relaxed);
                }
                let (last, was_open) = (state.connections.is_empty(), state.is_open);
                if last {
                    self.peers.remove(&peer_id);
                    if was_open {
                        self.actions.push_back(ToSwarm::GenerateEvent(Event::Closed { peer: peer_id }));
                    }
                } else if was_primary {
                    self.direct(peer_id);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        report: THandlerOutEvent<Self>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let event = match report {
            Report::Early if !state.is_open => Event::Early { peer },
            _ if !state.is_open => return,
            // The gate was opened meanwhile.
            Report::Early => return,
            Report::Opened if state.connections.first() == Some(&connection) => Event::Opened { peer },
            Report::Opened => return,
            Report::Received(frame) => Event::Received { peer, frame },
            Report::Malformed(error) => Event::Malformed { peer, error },
            Report::Broken => {
                state.is_open = false;
                Event::Closed { peer }
            }
        };
        self.actions.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
