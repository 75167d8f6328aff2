//! The gate on one connection: gossipsub's handler, once there is one.

use super::setup::Gossipsub;
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol, THandler, THandlerInEvent,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};
use std::{
    fmt,
    task::{Context, Poll, Waker},
};

/// Gossipsub's handler.
pub(super) type Inner = THandler<Gossipsub>;
/// How it accepts substreams.
pub(super) type Inbound = <Inner as ConnectionHandler>::InboundProtocol;
/// How it opens them.
pub(super) type Outbound = <Inner as ConnectionHandler>::OutboundProtocol;

/// What the behaviour tells the gate.
pub enum Command {
    /// Open: gossipsub's handler, made at this moment.
    Attach(Box<Inner>),
    /// Close.
    Detach,
    /// Something of gossipsub for its handler.
    Inner(THandlerInEvent<Gossipsub>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach(_) => "Attach",
            Self::Detach => "Detach",
            Self::Inner(_) => "Inner",
        })
    }
}

/// The gate.
pub struct Gate {
    /// How substreams are accepted while the gate is closed.
    inbound: Inbound,
    /// The substream that the peer opened last while the gate was closed; nothing has been read from it.
    held: Option<FullyNegotiatedInbound<Inbound>>,
    inner: Option<Inner>,
    /// How often the gate was opened: an outbound substream of an earlier time is of no use to a later handler.
    opening: u64,
    waker: Option<Waker>,
}

impl Gate {
    pub(super) fn new(inbound: Inbound) -> Self {
        Self { inbound, held: None, inner: None, opening: 0, waker: None }
    }
}

impl ConnectionHandler for Gate {
    type FromBehaviour = Command;
    type ToBehaviour = <Inner as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = u64;

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        match &self.inner {
            Some(inner) => inner.listen_protocol(),
            None => SubstreamProtocol::new(self.inbound.clone(), ()),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(ConnectionHandler::connection_keep_alive)
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Attach(mut inner) => {
                self.opening += 1;
                if let Some(held) = self.held.take() {
                    inner.on_connection_event(ConnectionEvent::FullyNegotiatedInbound(held));
                }
                self.inner = Some(*inner);
            }
            Command::Detach => self.inner = None,
            Command::Inner(event) => {
                if let Some(inner) = &mut self.inner {
                    inner.on_behaviour_event(event);
                }
            }
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Outbound, u64, Self::ToBehaviour>> {
        self.waker = Some(cx.waker().clone());
        let Some(inner) = &mut self.inner else { return Poll::Pending };
        inner.poll(cx).map(|event| event.map_outbound_open_info(|()| self.opening))
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound, (), u64>) {
        let Some(inner) = &mut self.inner else {
            if let ConnectionEvent::FullyNegotiatedInbound(held) = event {
                self.held = Some(held);
            }
            return;
        };
        match event {
            ConnectionEvent::FullyNegotiatedInbound(event) => {
                inner.on_connection_event(ConnectionEvent::FullyNegotiatedInbound(event));
            }
            ConnectionEvent::ListenUpgradeError(event) => {
                inner.on_connection_event(ConnectionEvent::ListenUpgradeError(event));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info })
                if info == self.opening =>
            {
                let event = FullyNegotiatedOutbound { protocol, info: () };
                inner.on_connection_event(ConnectionEvent::FullyNegotiatedOutbound(event));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) if info == self.opening => {
                let event = DialUpgradeError { info: (), error };
                inner.on_connection_event(ConnectionEvent::DialUpgradeError(event));
            }
            // Gossipsub's handler has no use for the others.
            _ => {}
        }
    }
}
