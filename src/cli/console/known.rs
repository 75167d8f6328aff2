//! What the node is asked while somebody types.

use super::complete::Known;
use crate::{
    api::types::KnownPeer,
    cli::output::plain,
    client::{Client, ClientError},
};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a completion may take; without an answer there is none.
const PATIENCE: Duration = Duration::from_millis(500);

/// Newest polls that are offered: a page of the API.
const POLLS_OFFERED: usize = 100;

/// The node, for the thread that reads lines.
pub(super) struct Node {
    /// The node.
    pub(super) client: Client,
    /// Where requests run; not the thread that asks.
    pub(super) runtime: Handle,
}

impl Node {
    fn ask<T>(&self, request: impl Future<Output = Result<T, ClientError>>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, request).await.ok()?.ok() })
    }
}

impl Known for Node {
    fn polls(&self) -> Vec<(String, String)> {
        let polls = self.ask(self.client.polls(None, Some(POLLS_OFFERED))).map(|answer| answer.polls);
        polls.unwrap_or_default().into_iter().map(|poll| (poll.id.to_string(), plain(&poll.title))).collect()
    }

    fn options(&self, poll: &str) -> Vec<String> {
        let polls = self.ask(self.client.polls(None, Some(POLLS_OFFERED))).map(|answer| answer.polls);
        let mut named =
            polls.unwrap_or_default().into_iter().filter(|known| known.id.to_string().starts_with(poll));
        match (named.next(), named.next()) {
            (Some(poll), None) => poll.options,
            // An older poll, named in full; of several that a beginning names there are no options.
            (None, _) => {
                let poll = poll.parse().ok().and_then(|id| self.ask(self.client.poll(&id)));
                poll.map(|poll| poll.options).unwrap_or_default()
            }
            (Some(_), Some(_)) => Vec::new(),
        }
    }

    fn addresses(&self) -> Vec<String> {
        let known = self.ask(self.client.known_peers()).map(|answer| answer.peers).unwrap_or_default();
        let with_id = |address: String, id: &str| match address.contains("/p2p/") {
            true => address,
            false => format!("{address}/p2p/{id}"),
        };
        let addresses = |peer: KnownPeer| {
            let id = peer.peer_id;
            peer.addresses.into_iter().map(move |address| with_id(plain(&address), &id))
        };
        known.into_iter().flat_map(addresses).collect()
    }
}
