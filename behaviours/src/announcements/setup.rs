//! How gossipsub is configured.

use super::{
    intake::{Intake, gossipsub_id},
    topics::{Filter, Topics},
};
use libp2p::{
    gossipsub::{
        self, MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode,
        Version,
    },
    identity::Keypair,
};
use std::time::Duration;

/// Gossipsub with our topics and our eyes on what comes in.
pub(super) type Gossipsub = gossipsub::Behaviour<Intake, Filter>;

/// How often gossipsub looks after its meshes.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a frame holds besides the data of its one message: what it is known by, author, signature, number, topic.
const FRAME_OVERHEAD: usize = 1024;

/// Messages that may wait for one peer; more are dropped, and the peer counts as slow.
const QUEUED_MESSAGES: usize = 512;

/// Messages in one frame of a peer; more are not looked at.
const MESSAGES_IN_FRAME: usize = 64;

/// How long after leaving a topic the node is not taken back into a mesh. Users leave topics late and seldom, so this
/// is no protection from them.
const REJOIN_AFTER: Duration = Duration::from_secs(1);

/// Configuration of announcements.
#[derive(Clone, Debug)]
pub struct Config {
    /// What names of protocol and topics begin with, such as `/conclave/1a2b3c4d5e6f7081/announcements`.
    pub name: String,
    /// Neighbours in the mesh of a topic (default 6): each message comes from about as many.
    pub degree: usize,
    /// Messages kept for neighbours that ask (default 1024).
    pub cache_size: usize,
    /// How long a message may wait for [`answer`](super::Behaviour::answer) (default 60 s).
    pub answer_timeout: Duration,
    /// How long a message is known again (default 120 s).
    pub duplicate_window: Duration,
    /// Longest message in bytes.
    pub max_message_bytes: usize,
    /// Most topics that a peer may subscribe to.
    pub max_topics: usize,
}

impl Config {
    /// The defaults for names that begin so.
    pub fn new(name: String) -> Self {
        Self {
            name,
            degree: 6,
            cache_size: 1024,
            answer_timeout: Duration::from_secs(60),
            duplicate_window: Duration::from_secs(120),
            max_message_bytes: 65_535 + 128,
            max_topics: 128,
        }
    }

    /// How long gossipsub keeps a message: a little longer than an answer may take.
    pub(super) fn kept_for(&self) -> Duration {
        self.answer_timeout + 5 * HEARTBEAT
    }

    fn gossipsub(&self) -> gossipsub::Config {
        let degree = self.degree.clamp(1, 64);
        let history = usize::try_from(self.kept_for().as_secs()).unwrap_or(usize::MAX).min(3600) + 1;
        let mut builder = gossipsub::ConfigBuilder::default();
        builder
            .protocol_id(format!("{}/1", self.name), Version::V1_1)
            .validation_mode(ValidationMode::Strict)
            .validate_messages()
            .message_id_fn(gossipsub_id)
            .max_transmit_size(self.max_message_bytes + FRAME_OVERHEAD)
            .max_publish_messages(MESSAGES_IN_FRAME)
            .connection_handler_queue_len(QUEUED_MESSAGES)
            .duplicate_cache_time(self.duplicate_window)
            .heartbeat_interval(HEARTBEAT)
            .heartbeat_initial_delay(HEARTBEAT)
            .history_length(history)
            .unsubscribe_backoff(REJOIN_AFTER)
            // What a node publishes itself goes to all its neighbours: a TTL counts connections, not meshes.
            .flood_publish(true)
            .mesh_n(degree)
            .mesh_n_low((2 * degree / 3).max(1))
            .mesh_n_high(2 * degree)
            .mesh_outbound_min(degree / 3)
            .gossip_lazy(degree);
        builder.build().expect("a protocol name with a slash, and a mesh whose bounds follow from its degree")
    }

    /// Gossipsub by this configuration.
    pub(super) fn build(&self, keypair: &Keypair, topics: &Topics, intake: Intake) -> Gossipsub {
        let authenticity = MessageAuthenticity::Signed(keypair.clone());
        let filter = topics.filter(self.max_topics);
        let mut gossipsub = gossipsub::Behaviour::new_with_subscription_filter_and_transform(
            authenticity,
            self.gossipsub(),
            filter,
            intake,
        )
        .expect("signing and strict validation fit each other");
        gossipsub
            .with_peer_score(score(), PeerScoreThresholds::default())
            .expect("the parameters are within their ranges, and set once");
        gossipsub
    }
}

fn score() -> PeerScoreParams {
    PeerScoreParams {
        // Several honest nodes may share an address; that identities cost something is the matter of admission.
        ip_colocation_factor_weight: 0.0,
        // Blame is the user's matter, and outlasts a connection there.
        app_specific_weight: 0.0,
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    }
}

/// How neighbours in a topic are judged: by what they bring first, and by what is invalid; not by how much they bring,
/// because topics may be silent for long.
pub(super) fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -5.0,
        invalid_message_deliveries_decay: 0.95,
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_degree_makes_a_configuration() {
        for degree in [0, 1, 2, 3, 4, 6, 7, 30, 64, usize::MAX] {
            let config = Config { degree, ..Config::new("/conclave/ab/announcements".into()) };
            let topics = Topics::new(config.name.clone());
            let keypair = Keypair::generate_ed25519();
            let mut gossipsub = config.build(&keypair, &topics, Intake::new(topics.clone()));
            assert_eq!(gossipsub.set_topic_params(topics.topic(7), topic_score()), Ok(()));
            assert_eq!(topic_score().validate(), Ok(()));
        }
    }
}
