//! Names of topics: one for each data type.

use libp2p::gossipsub::{IdentTopic, MaxCountSubscriptionFilter, TopicHash, TopicSubscriptionFilter};

/// The topics of a network.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
}

/// Which topics peers may subscribe to, and how many.
pub(super) type Filter = MaxCountSubscriptionFilter<Topics>;

impl Topics {
    /// Topics whose names begin with `prefix`, such as `/conclave/1a2b3c4d5e6f7081/announcements`.
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The topic of a data type.
    pub(super) fn topic(&self, data_type: u16) -> IdentTopic {
        IdentTopic::new(format!("{}/{data_type}/1", self.prefix))
    }

    /// The data type of a topic; `None` if it is none of these.
    pub(super) fn data_type(&self, topic: &TopicHash) -> Option<u16> {
        let rest = topic.as_str().strip_prefix(self.prefix.as_str())?;
        let data_type = rest.strip_prefix('/')?.strip_suffix("/1")?.parse().ok()?;
        // One name for each type: none with leading zeros.
        (self.topic(data_type).hash() == *topic).then_some(data_type)
    }

    /// Lets peers subscribe to these topics, to at most `limit` of them.
    pub(super) fn filter(&self, limit: usize) -> Filter {
        // What a peer says at once may hold an end and a beginning for each.
        let max_subscriptions_per_request = 2 * limit;
        MaxCountSubscriptionFilter {
            filter: self.clone(),
            max_subscribed_topics: limit,
            max_subscriptions_per_request,
        }
    }
}

impl TopicSubscriptionFilter for Topics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.data_type(topic).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_one_name_and_other_names_are_none() {
        let topics = Topics::new("/conclave/ab/announcements".into());
        for data_type in [0, 7, 1337, u16::MAX] {
            assert_eq!(topics.data_type(&topics.topic(data_type).hash()), Some(data_type));
        }
        for name in [
            "/conclave/ab/announcements/007/1",
            "/conclave/ab/announcements/65536/1",
            "/conclave/ab/announcements/7/2",
            "/conclave/ab/announcements/7",
            "/conclave/ab/announcements//1",
            "/conclave/cd/announcements/7/1",
            "",
        ] {
            assert_eq!(topics.data_type(&TopicHash::from_raw(name)), None, "{name}");
        }
    }
}
