//! What a member of somebody else's swarm sees: a line of text, or a JSON object, for each event.

use crate::cli::{
    failure::Outcome,
    output::{self, Output, plain},
};
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// This peer, at its start.
    Started { peer: String },
    /// This peer can be reached here.
    Listening { address: String },
    /// A peer is connected.
    Connected { peer: String, address: String, dialled: bool },
    /// What it says of itself.
    Identified {
        peer: String,
        agent: String,
        protocols: Vec<String>,
        addresses: Vec<String>,
        /// Addresses that were not put into the Kademlia table: useless, or too many.
        ignored_addresses: usize,
    },
    /// No connection to it is left.
    Disconnected { peer: String },
    /// A bootstrap address that nobody answers at.
    Unreachable { address: String, reason: String },
    /// The Kademlia table has grown or was refreshed.
    Kademlia { peers: usize },
    /// A peer wants messages of a topic.
    Subscribed { peer: String, topic: String },
    /// A peer wants no more messages of a topic.
    Unsubscribed { peer: String, topic: String },
    /// A message of another peer.
    Message {
        topic: String,
        /// Its author; none for an anonymous message.
        author: Option<String>,
        /// Who passed it on.
        from: String,
        /// The message, if it is text.
        text: Option<String>,
        /// The message in hexadecimal, if it is not.
        hex: Option<String>,
    },
    /// A message of ours is out.
    Published { topic: String, bytes: usize },
    /// A message of ours cannot be published.
    NotPublished { topic: String, reason: String },
}

impl Event {
    /// Prints it on standard output.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn show(&self, form: Output) -> Outcome {
        match form {
            Output::Text => output::line(&self.text()),
            Output::Json => output::line(&serde_json::to_string(self)?),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Started { peer } => format!("this is {peer}"),
            Self::Listening { address } => format!("listening on {address}"),
            Self::Connected { peer, address, dialled: true } => format!("+ {peer} at {address}"),
            Self::Connected { peer, address, dialled: false } => format!("+ {peer} from {address}"),
            Self::Identified { peer, agent, protocols, addresses, ignored_addresses } => format!(
                "  {peer} is {}; {} protocols, {} addresses{}",
                plain(agent),
                protocols.len(),
                addresses.len(),
                if *ignored_addresses > 0 { format!(", {ignored_addresses} ignored") } else { String::new() }
            ),
            Self::Disconnected { peer } => format!("- {peer}"),
            Self::Unreachable { address, reason } => format!("! nobody at {address}: {}", plain(reason)),
            Self::Kademlia { peers } => format!("  {peers} peers in the Kademlia table"),
            Self::Subscribed { peer, topic } => format!("  {peer} listens to [{}]", plain(topic)),
            Self::Unsubscribed { peer, topic } => format!("  {peer} listens no more to [{}]", plain(topic)),
            Self::Message { topic, author, from, text, hex } => {
                let said = text.as_deref().or(hex.as_deref()).unwrap_or_default();
                let who = author.as_deref().unwrap_or("anonymous");
                let way = if author.as_ref() == Some(from) { String::new() } else { format!(" by {from}") };
                format!("[{}] {who}{way}: {}", plain(topic), plain(said))
            }
            Self::Published { topic, bytes } => format!("[{}] published {bytes} bytes", plain(topic)),
            Self::NotPublished { topic, reason } => format!("! [{}] not published: {reason}", plain(topic)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_says() {
        let message = |author: Option<&str>| Event::Message {
            topic: "chat".into(),
            author: author.map(String::from),
            from: "B".into(),
            text: Some("hi\n- C".into()),
            hex: None,
        };
        assert_eq!(message(Some("A")).text(), "[chat] A by B: hi\\u{a}- C");
        assert_eq!(message(Some("B")).text(), "[chat] B: hi\\u{a}- C");
        assert_eq!(message(None).text(), "[chat] anonymous by B: hi\\u{a}- C");
        let json: serde_json::Value = serde_json::to_value(message(None)).unwrap();
        assert_eq!((json["event"].as_str(), json["text"].as_str()), (Some("message"), Some("hi\n- C")));
    }
}
