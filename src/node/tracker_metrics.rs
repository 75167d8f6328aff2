//! What Prometheus is told of the trackers that a node uses: each by its address, of which there are at most
//! [`MAX_TRACKERS`](crate::trackers::MAX_TRACKERS).

use conclave_behaviours::rendezvous::Asked;
use libp2p::Multiaddr;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tracker {
    tracker: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Question {
    tracker: String,
    asked: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Told {
    tracker: String,
    outcome: &'static str,
}

/// The metrics. Trackers are named by their number.
pub(super) struct TrackerMetrics {
    names: Vec<String>,
    registered: Family<Tracker, Gauge>,
    answers: Family<Question, Counter>,
    failures: Family<Question, Counter>,
    records: Family<Told, Counter>,
    cut_off: Family<Tracker, Counter>,
}

impl TrackerMetrics {
    pub(super) fn register(trackers: &[Multiaddr], registry: &mut Registry) -> Self {
        let metrics = Self {
            names: trackers.iter().map(ToString::to_string).collect(),
            registered: Family::default(),
            answers: Family::default(),
            failures: Family::default(),
            records: Family::default(),
            cut_off: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("conclave_trackers");
        registry.register("registered", "1 while the tracker has this node", metrics.registered.clone());
        registry.register(
            "answers",
            "Questions that a tracker answered, by what was asked: register, discover or unregister",
            metrics.answers.clone(),
        );
        registry.register(
            "failures",
            "Questions that a tracker did not answer, refused, or answered with what is no answer, by what was \
             asked; dial if it could not be reached",
            metrics.failures.clone(),
        );
        registry.register(
            "records",
            "Records that a tracker told: taken, or refused because they were of another network, not signed by the \
             peer that they name, there twice or too many",
            metrics.records.clone(),
        );
        registry.register(
            "cut_off",
            "Times that a tracker had more to tell than a node reads in a row",
            metrics.cut_off.clone(),
        );
        // Also of those with whom nothing has happened yet.
        (0..metrics.names.len()).for_each(|number| metrics.registered(number, false));
        metrics
    }

    fn name(&self, number: usize) -> String {
        self.names.get(number).cloned().unwrap_or_default()
    }

    /// Whether a tracker has this node.
    pub(super) fn registered(&self, number: usize, registered: bool) {
        self.registered.get_or_create(&Tracker { tracker: self.name(number) }).set(registered.into());
    }

    /// A tracker has done what it was asked.
    pub(super) fn answered(&self, number: usize, asked: Asked) {
        let question = Question { tracker: self.name(number), asked: name_of(asked) };
        self.answers.get_or_create(&question).inc();
    }

    /// It has not; `None` if it could not even be asked.
    pub(super) fn failed(&self, number: usize, asked: Option<Asked>) {
        let question = Question { tracker: self.name(number), asked: asked.map_or("dial", name_of) };
        self.failures.get_or_create(&question).inc();
    }

    /// A tracker told so many records that count, and so many that do not.
    pub(super) fn told(&self, number: usize, taken: usize, refused: usize) {
        for (outcome, records) in [("taken", taken), ("refused", refused)] {
            let told = Told { tracker: self.name(number), outcome };
            self.records.get_or_create(&told).inc_by(records as u64);
        }
    }

    /// A tracker would have told more.
    pub(super) fn cut_off(&self, number: usize) {
        self.cut_off.get_or_create(&Tracker { tracker: self.name(number) }).inc();
    }
}

fn name_of(asked: Asked) -> &'static str {
    match asked {
        Asked::Register => "register",
        Asked::Unregister => "unregister",
        Asked::Discover => "discover",
    }
}
