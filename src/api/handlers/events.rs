//! The stream of what happens on the node, as server-sent events (HTML standard, section 9.2).

use crate::{
    api::{
        App, MAX_SUBSCRIBERS,
        lookup::{self, Names},
        problem::Problem,
        server::stopped,
        types::{Event, NamedKey},
    },
    node::handle::{Handle, NodeEvent, NodeView},
};
use axum::{
    extract::State,
    response::{
        IntoResponse,
        sse::{self, KeepAlive, Sse},
    },
};
use conclave_ledger::keys::PublicKey;
use futures::stream;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
    watch,
};

/// How often a stream on which nothing happens gets a comment, so that both ends see a connection that broke.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One who watches.
struct Subscriber {
    handle: Handle,
    events: broadcast::Receiver<NodeEvent>,
    stopping: watch::Receiver<bool>,
    names: Names,
    _place: OwnedSemaphorePermit,
}

/// What happens on the node from now on, as server-sent events.
///
/// The name of an event is its `event` field, its data the JSON below. Who reads too slowly gets `missed` with the
/// number of events that were passed over. A comment is sent when nothing has happened for 15 seconds.
#[utoipa::path(get, path = "/v1/events", tag = "events", responses(
    (status = 200, body = Event, content_type = "text/event-stream"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Too many subscribers."),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn events(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let place = app.subscribers.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable(format!(
            "{MAX_SUBSCRIBERS} subscribers read the events already, the most there may be"
        ))
    })?;
    let handle = app.handle.clone();
    let (events, stopping) = (handle.events(), handle.stopping.subscribe());
    let names = handle.read(Names::read).await?;
    let subscriber = Subscriber { handle, events, stopping, names, _place: place };
    let stream = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((Ok::<_, Infallible>(event), subscriber))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Subscriber {
    /// The next event; `None` when the node stops.
    async fn next(&mut self) -> Option<sse::Event> {
        let received = tokio::select! {
            () = stopped(&mut self.stopping) => return None,
            received = self.events.recv() => received,
        };
        let event = match received {
            Ok(event) => self.translate(event).await,
            Err(RecvError::Lagged(count)) => Event::Missed { count },
            Err(RecvError::Closed) => return None,
        };
        let data = serde_json::to_string(&event).expect("an event has only texts and numbers");
        Some(sse::Event::default().event(event.name()).data(data))
    }

    async fn translate(&mut self, event: NodeEvent) -> Event {
        match event {
            NodeEvent::Opened { height, leader } => {
                Event::Opened { height, leader: self.named(leader).await }
            }
            NodeEvent::Voted { height, value } => Event::Voted { height, value },
            NodeEvent::Decided { decided, applied, micros } => {
                let block = decided.block();
                let leader = match block {
                    Some(block) => Some(self.named(block.header.leader).await),
                    None => None,
                };
                Event::Decided {
                    height: applied.height,
                    hash: applied.hash,
                    kind: lookup::kind(&decided),
                    leader,
                    timestamp: block.map(|block| block.header.timestamp),
                    transactions: applied.transactions.len(),
                    micros,
                }
            }
            NodeEvent::RolledBack { height } => Event::RolledBack { height },
            NodeEvent::Undone(block) => Event::BlockUndone {
                height: block.header.height,
                hash: block.hash(),
                transactions: block.transactions.len(),
            },
            NodeEvent::Halted { height, closing, quorum } => {
                Event::Halted { height, reachable: closing, quorum }
            }
            NodeEvent::PeerConnected(peer) => Event::PeerConnected { peer: peer.into() },
            NodeEvent::PeerLost { peer_id } => Event::PeerLost { peer_id },
            NodeEvent::PeerRefused { peer_id, reason, by_us } => {
                Event::PeerRefused { peer_id, reason, by_us }
            }
            NodeEvent::PeerPenalized { peer_id, reason } => Event::PeerPenalized { peer_id, reason },
            NodeEvent::Announced { peer_id, timestamp, text } => {
                let name = self.called(peer_id.clone()).await;
                Event::Announced { peer_id, name, timestamp, text }
            }
            NodeEvent::CatchingUp { height, target } => Event::CatchingUp { height, target },
        }
    }

    /// The name of the validator that the peer has proved to be, or this node's own.
    async fn called(&self, peer_id: String) -> Option<String> {
        let find = move |view: &NodeView<'_>| match view.status.peer_id == peer_id {
            true => view.status.validator.and_then(|key| Names::read(view).named(key).name),
            false => view.peers.iter().find(|peer| peer.peer_id == peer_id)?.name.clone(),
        };
        self.handle.read(find).await.ok().flatten()
    }

    /// A validator's name, from the newest set where it is not known yet.
    async fn named(&mut self, key: PublicKey) -> NamedKey {
        if self.names.of(&key).is_none()
            && let Ok(names) = self.handle.read(Names::read).await
        {
            self.names = names;
        }
        self.names.named(key)
    }
}
