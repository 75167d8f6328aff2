//! The composition, its configuration, and the swarm around it.

use crate::swarm::{self, SwarmError};
use libp2p::{
    PeerId, StreamProtocol, Swarm, connection_limits, gossipsub, identify,
    identity::Keypair,
    kad::{self, store::MemoryStore},
    ping, relay,
    swarm::behaviour::toggle::Toggle,
};
use std::time::Duration;

/// Most established connections.
pub const MAX_CONNECTIONS: u32 = 128;

/// Most established connections to one peer: one of each transport, and one to replace.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 3;

/// Most incoming connections that are being negotiated.
pub const MAX_PENDING_INCOMING: u32 = 32;

/// Longest gossipsub message, in bytes, with its envelope: what go-libp2p takes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// How long a connection that nothing keeps stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the peer takes part in.
#[derive(Clone, Debug)]
pub struct Config {
    /// What identify says of the program, such as `conclave/0.1.0`.
    pub agent: String,
    /// How it pings.
    pub ping: Ping,
    /// Name of the Kademlia protocol, such as `/ipfs/kad/1.0.0`; `None`: no Kademlia.
    pub kademlia: Option<StreamProtocol>,
    /// Whether it answers others' Kademlia requests, as a peer does that others can reach.
    pub serves: bool,
    /// Gossipsub; `None`: no messages.
    pub messages: Option<Messages>,
}

/// Pings of every connection.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// Time from an answer to the next ping (libp2p's default 15 s).
    pub interval: Duration,
    /// After this time without an answer a ping is lost (libp2p's default 20 s).
    pub timeout: Duration,
}

impl Default for Ping {
    fn default() -> Self {
        Self { interval: Duration::from_secs(15), timeout: Duration::from_secs(20) }
    }
}

/// How messages are published; messages of others are taken in both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// Signed, with author and number, as most swarms want it.
    Signed,
    /// Without author, number and signature.
    Anonymous,
}

pub use composition::{Behaviour, BehaviourEvent};

/// The struct alone, because the derive writes an enum of events beside it whose variants carry no documentation.
#[allow(missing_docs)]
mod composition {
    use libp2p::{
        connection_limits, gossipsub, identify,
        kad::{self, store::MemoryStore},
        ping, relay,
        swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    };

    /// Everything that an ordinary peer of somebody else's swarm speaks.
    #[derive(NetworkBehaviour)]
    pub struct Behaviour {
        /// Bounds on connections.
        pub limits: connection_limits::Behaviour,
        /// Who is there, and which protocols and addresses it has.
        pub identify: identify::Behaviour,
        /// Whether it is still there, and how far.
        pub ping: ping::Behaviour,
        /// Reaches peers behind a relay.
        pub relay: relay::client::Behaviour,
        /// Finds peers.
        pub kademlia: Toggle<kad::Behaviour<MemoryStore>>,
        /// Carries messages of topics.
        pub gossipsub: Toggle<gossipsub::Behaviour>,
    }
}

impl Behaviour {
    /// The behaviour of a peer with this key.
    pub fn new(keypair: &Keypair, relay: relay::client::Behaviour, config: &Config) -> Self {
        let peer = keypair.public().to_peer_id();
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established(Some(MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
            .with_max_pending_incoming(Some(MAX_PENDING_INCOMING));
        let identify = identify::Config::new("/conclave/1".into(), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true);
        let ping = ping::Config::new().with_interval(config.ping.interval).with_timeout(config.ping.timeout);
        let kademlia = config.kademlia.clone().map(|name| kademlia(peer, name, config.serves));
        let gossipsub = config.messages.map(|messages| gossipsub(keypair, messages));
        Self {
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            relay,
            kademlia: Toggle::from(kademlia),
            gossipsub: Toggle::from(gossipsub),
        }
    }
}

/// A swarm of which this peer is a member.
///
/// # Errors
/// When the key does not fit the transports.
pub fn build(keypair: Keypair, config: &Config) -> Result<Swarm<Behaviour>, SwarmError> {
    let mut unread = libp2p::metrics::Registry::default();
    swarm::build_with(keypair, &mut unread, IDLE_TIMEOUT, |keypair, relay| {
        Behaviour::new(keypair, relay, config)
    })
}

fn kademlia(peer: PeerId, name: StreamProtocol, serves: bool) -> kad::Behaviour<MemoryStore> {
    let mut kademlia = kad::Behaviour::with_config(peer, MemoryStore::new(peer), kad::Config::new(name));
    kademlia.set_mode(Some(if serves { kad::Mode::Server } else { kad::Mode::Client }));
    kademlia
}

fn gossipsub(keypair: &Keypair, messages: Messages) -> gossipsub::Behaviour {
    let authenticity = match messages {
        Messages::Signed => gossipsub::MessageAuthenticity::Signed(keypair.clone()),
        Messages::Anonymous => gossipsub::MessageAuthenticity::Anonymous,
    };
    let config = gossipsub::ConfigBuilder::default()
        .max_transmit_size(MAX_MESSAGE_BYTES)
        .validation_mode(gossipsub::ValidationMode::Permissive)
        .message_id_fn(message_id)
        .build()
        .expect("the defaults are consistent, and a longer message does not change that");
    gossipsub::Behaviour::new(authenticity, config)
        .expect("permissive validation goes with every kind of authenticity")
}

/// Author and number where a message has them, which is libp2p's default; else its content, because by the default all
/// anonymous messages would be one.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    match (&message.source, message.sequence_number) {
        (Some(source), Some(number)) => {
            gossipsub::MessageId::new(&[source.to_bytes().as_slice(), number.to_string().as_bytes()].concat())
        }
        _ => gossipsub::MessageId::new(&[message.topic.as_str().as_bytes(), &message.data].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_anonymous_messages_have_different_ids() {
        let message = |data: &[u8], topic: &str| gossipsub::Message {
            source: None,
            data: data.to_vec(),
            sequence_number: None,
            topic: gossipsub::TopicHash::from_raw(topic),
        };
        let id = message_id(&message(b"one", "t"));
        assert_ne!(id, message_id(&message(b"two", "t")));
        assert_ne!(id, message_id(&message(b"one", "u")));
        assert_eq!(id, message_id(&message(b"one", "t")));
    }
}
