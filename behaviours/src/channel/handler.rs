//! The channel on one connection: two lanes each way, behind a gate.

use super::{
    behaviour::Config,
    frame::FrameError,
    lane::{Incoming, Outgoing},
};
use futures::future;
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, atomic::AtomicUsize},
    task::{Context, Poll},
};

/// Times in a row that a substream is negotiated anew on a living connection before the channel counts as closed.
const MAX_REOPENINGS: u32 = 3;

/// Reports that wait for the behaviour; those of a peer that is faster than it is read are left out.
const MAX_REPORTS: usize = 16;

/// Which of the two substreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small frames.
    Small,
    /// Bulk frames.
    Bulk,
}

impl Lane {
    const ALL: [Self; 2] = [Self::Small, Self::Bulk];

    fn index(self) -> usize {
        self as usize
    }
}

/// The protocols of the lanes that a substream is negotiated for. libp2p asks for them at every turn of a connection,
/// so they are made once, and telling them allocates nothing.
#[derive(Clone, Debug)]
pub struct Lanes([Option<LaneName>; 2]);

impl Lanes {
    /// The lanes of a channel.
    pub(super) fn of(config: &Config) -> Self {
        Self(Lane::ALL.map(|lane| Some(LaneName(lane, config.protocol(lane == Lane::Bulk)))))
    }

    /// One of them alone.
    fn only(&self, lane: Lane) -> Self {
        let mut lanes = [None, None];
        lanes[lane.index()] = self.0[lane.index()].clone();
        Self(lanes)
    }
}

impl UpgradeInfo for Lanes {
    type Info = LaneName;
    type InfoIter = std::iter::Flatten<std::array::IntoIter<Option<LaneName>, 2>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter().flatten()
    }
}

/// A lane by its protocol's name.
#[derive(Clone, Debug)]
pub struct LaneName(Lane, StreamProtocol);

impl AsRef<str> for LaneName {
    fn as_ref(&self) -> &str {
        self.1.as_ref()
    }
}

impl InboundUpgrade<Stream> for Lanes {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: LaneName) -> Self::Future {
        future::ready(Ok((name.0, stream)))
    }
}

impl OutboundUpgrade<Stream> for Lanes {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, name: LaneName) -> Self::Future {
        future::ready(Ok((name.0, stream)))
    }
}

/// What the behaviour tells the handler.
#[derive(Debug)]
pub enum Command {
    /// Open the gate; on the primary connection outbound substreams are negotiated.
    Open {
        /// Whether this connection carries what is sent.
        primary: bool,
    },
    /// Close the gate and drop everything.
    Close,
    /// Send a frame.
    Send(Lane, Arc<[u8]>),
}

/// What the handler tells the behaviour.
#[derive(Debug)]
pub enum Report {
    /// Both outbound substreams are there.
    Opened,
    /// A frame came.
    Received(Vec<u8>),
    /// The other side has opened a substream although the gate is closed.
    Early,
    /// What came is not a sequence of frames.
    Malformed(FrameError),
    /// The other side does not speak the protocol, or its substreams break again and again.
    Broken,
}

/// The handler.
pub struct Handler {
    lanes: Lanes,
    open: bool,
    primary: bool,
    outgoing: [Outgoing; 2],
    incoming: [Incoming; 2],
    requested: [bool; 2],
    reopenings: u32,
    announced: bool,
    reports: VecDeque<Report>,
}

impl Handler {
    /// Reads frames of at most `limit` bytes.
    pub(super) fn new(lanes: Lanes, limit: usize, queued: Arc<AtomicUsize>) -> Self {
        Self {
            outgoing: Lane::ALL.map(|_| Outgoing::new(queued.clone())),
            incoming: Lane::ALL.map(|_| Incoming::new(limit)),
            lanes,
            open: false,
            primary: false,
            requested: [false; 2],
            reopenings: 0,
            announced: false,
            reports: VecDeque::new(),
        }
    }

    fn lost(&mut self, lane: Lane) {
        self.outgoing[lane.index()].reset();
        self.requested[lane.index()] = false;
        self.announced = false;
        self.reopenings += 1;
        if self.reopenings > MAX_REOPENINGS {
            self.open = false;
            self.reports.push_back(Report::Broken);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Report;
    type InboundProtocol = Lanes;
    type OutboundProtocol = Lanes;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Lane;

    fn listen_protocol(&self) -> SubstreamProtocol<Lanes> {
        SubstreamProtocol::new(self.lanes.clone(), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.open
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Open { primary } => {
                (self.open, self.primary) = (true, primary);
                self.reopenings = 0;
            }
            Command::Close => {
                (self.open, self.primary, self.announced) = (false, false, false);
                self.outgoing.iter_mut().for_each(Outgoing::reset);
                self.incoming.iter_mut().for_each(Incoming::reset);
                self.requested = [false; 2];
            }
            Command::Send(lane, frame) => self.outgoing[lane.index()].push(frame),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Lanes, Lane, Report>> {
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if !self.open {
            return Poll::Pending;
        }
        for lane in Lane::ALL {
            match self.incoming[lane.index()].poll(cx) {
                Poll::Ready(Ok(frame)) => {
                    return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Received(frame)));
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Malformed(error)));
                }
                Poll::Pending => {}
            }
        }
        if self.primary {
            for lane in Lane::ALL {
                if self.outgoing[lane.index()].poll(cx).is_ready() {
                    self.lost(lane);
                    cx.waker().wake_by_ref();
                } else if self.outgoing[lane.index()].stream.is_none() && !self.requested[lane.index()] {
                    self.requested[lane.index()] = true;
                    let protocol = SubstreamProtocol::new(self.lanes.only(lane), lane);
                    return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
                }
            }
            if !self.announced && self.outgoing.iter().all(|lane| lane.stream.is_some()) {
                self.announced = true;
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Opened));
            }
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Lanes, Lanes, (), Lane>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (lane, stream),
                ..
            }) => {
                // Held unread until the gate opens, or is closed once more.
                self.incoming[lane.index()].accept(stream);
                if !self.open && self.reports.len() < MAX_REPORTS {
                    self.reports.push_back(Report::Early);
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (lane, stream),
                ..
            }) if self.open && self.requested[lane.index()] => {
                self.outgoing[lane.index()].stream = Some(stream);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: lane, error }) => {
                if matches!(error, StreamUpgradeError::NegotiationFailed) {
                    self.reopenings = MAX_REOPENINGS;
                }
                self.lost(lane);
            }
            _ => {}
        }
    }
}
