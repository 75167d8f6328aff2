//! What people say through this node, and what it hears of others: see [`crate::chat`].
//!
//! The node is a module of its own for it, besides those of the gossip API, whose numbers begin with 1.

use super::{Driver, clock};
use crate::{
    chat::{self, Said, SaidError},
    node::handle::NodeEvent,
};
use conclave_protocol::{
    announcements::{Command, ModuleId},
    node::Input,
};
use tokio::sync::oneshot;

/// The module that the node itself is.
pub(super) const OWN: ModuleId = ModuleId(0);

impl Driver {
    /// Subscribes to what people say.
    pub(super) fn listen_to_people(&mut self) {
        if self.gossip.voice.is_some() {
            self.input(Input::Module(Command::Notify { module: OWN, data_type: chat::DATA_TYPE }));
        }
    }

    /// Says something to everybody, this node's own watchers too.
    pub(super) fn say(&mut self, text: String, reply: oneshot::Sender<Result<Said, SaidError>>) {
        let Some(voice) = &self.gossip.voice else { return };
        let said = Said::new(voice.network, &voice.key, clock(self.start).unix_ms, text);
        if let Ok(said) = &said {
            let data = said.encode();
            self.input(Input::Module(Command::Announce {
                module: OWN,
                ttl: 0,
                data_type: chat::DATA_TYPE,
                data,
            }));
            self.tell_of(said);
        }
        // The caller may have gone meanwhile.
        let _ = reply.send(said);
    }

    /// Hears something, and says whether it is to be passed on.
    pub(super) fn hear(&mut self, notification: u16, data: &[u8]) {
        let Some(voice) = &self.gossip.voice else { return };
        let heard = Said::decode(voice.network, data);
        let valid = heard.is_ok();
        self.input(Input::Module(Command::Validate { module: OWN, notification, valid }));
        match heard {
            Ok(said) if said.is_recent(clock(self.start).unix_ms) => self.tell_of(&said),
            Ok(said) => {
                tracing::debug!(from = %said.from, at = said.at, "what was said is too old to be shown")
            }
            Err(error) => tracing::debug!(%error, "somebody announced what nobody said"),
        }
    }

    fn tell_of(&self, said: &Said) {
        if let Some(id) = said.peer_id() {
            let (text, timestamp) = (said.text.clone(), said.at);
            self.publish(NodeEvent::Announced { peer_id: id.to_base58(), timestamp, text });
        }
    }
}
