//! What Prometheus is told.

use conclave_protocol::{
    handshake::RefusalReason,
    known_peers::{Source, Table},
    node::Channel,
    penalty::Severity,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Buckets of the time from opening a height to its decision, in seconds.
const DECISION_BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 2.0, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Told {
    source: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Broken {
    rule: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Offence {
    severity: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Denial {
    by: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
    by: &'static str,
}

/// The node's own metrics; libp2p adds its own to the same registry.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) height: Gauge,
    pub(super) pool_transactions: Gauge,
    pub(super) pool_bytes: Gauge,
    pub(super) peers: Gauge,
    pub(super) halted: Gauge,
    heights: Family<Kind, Counter>,
    pub(super) transactions: Counter,
    pub(super) decision_seconds: Histogram,
    pub(super) log_syncs: Counter,
    pub(super) connections: Gauge,
    denied: Family<Denial, Counter>,
    penalties: Family<Offence, Counter>,
    refusals: Family<Refusal, Counter>,
    admissions: Family<Outcome, Counter>,
    peer_transactions: Family<Outcome, Counter>,
    known_peers: Family<Told, Gauge>,
    pub(super) records_refused: Counter,
    pub(super) undone_blocks: Counter,
    pub(super) diverged_peers: Counter,
    refused_blocks: Family<Broken, Counter>,
    sent: Family<Kind, Counter>,
    unsent: Family<Kind, Counter>,
    sent_bytes: Family<Kind, Counter>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            height: Gauge::default(),
            pool_transactions: Gauge::default(),
            pool_bytes: Gauge::default(),
            peers: Gauge::default(),
            halted: Gauge::default(),
            heights: Family::default(),
            transactions: Counter::default(),
            decision_seconds: Histogram::new(DECISION_BUCKETS),
            log_syncs: Counter::default(),
            connections: Gauge::default(),
            denied: Family::default(),
            penalties: Family::default(),
            refusals: Family::default(),
            admissions: Family::default(),
            peer_transactions: Family::default(),
            known_peers: Family::default(),
            records_refused: Counter::default(),
            undone_blocks: Counter::default(),
            diverged_peers: Counter::default(),
            refused_blocks: Family::default(),
            sent: Family::default(),
            unsent: Family::default(),
            sent_bytes: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("conclave");
        registry.register("height", "Last decided height", metrics.height.clone());
        registry.register("pool_transactions", "Transactions waiting", metrics.pool_transactions.clone());
        registry.register(
            "pool_bytes",
            "Canonical bytes of the transactions waiting",
            metrics.pool_bytes.clone(),
        );
        registry.register("peers", "Peers whose handshake is done", metrics.peers.clone());
        registry.register(
            "halted",
            "1 while the open height cannot close for want of a quorum",
            metrics.halted.clone(),
        );
        registry.register(
            "decided_heights",
            "Decided heights by kind: block or skip",
            metrics.heights.clone(),
        );
        registry.register(
            "decided_transactions",
            "Transactions in decided blocks",
            metrics.transactions.clone(),
        );
        registry.register(
            "decision_seconds",
            "Time from opening a height to its decision on this node",
            metrics.decision_seconds.clone(),
        );
        registry.register("log_syncs", "Syncs of the write-ahead log", metrics.log_syncs.clone());
        registry.register("connections", "Established connections", metrics.connections.clone());
        registry.register(
            "connections_denied",
            "Incoming connections denied, by the bound on one block of addresses or by that on all",
            metrics.denied.clone(),
        );
        registry.register("penalties", "Offences of peers by severity", metrics.penalties.clone());
        registry.register(
            "refusals",
            "Handshakes refused, by reason and by which side (us, them)",
            metrics.refusals.clone(),
        );
        registry.register(
            "admissions",
            "Observers that dialled this node, by what became of their admission",
            metrics.admissions.clone(),
        );
        registry.register(
            "peer_transactions",
            "Transactions that peers sent and that were new here, by what became of them",
            metrics.peer_transactions.clone(),
        );
        registry.register(
            "known_peers",
            "Known peers by source; one that several sources told of counts for each",
            metrics.known_peers.clone(),
        );
        registry.register(
            "refused_peer_records",
            "Answers of peer exchange that were refused, because a record or the work did not hold",
            metrics.records_refused.clone(),
        );
        registry.register(
            "undone_blocks",
            "Blocks undone for a branch with more work",
            metrics.undone_blocks.clone(),
        );
        registry.register(
            "diverged_peers",
            "Times that a peer's chain was found to part from this node's further back than it goes",
            metrics.diverged_peers.clone(),
        );
        registry.register(
            "refused_blocks",
            "Headers and blocks of peers that were refused, by the rule that they break",
            metrics.refused_blocks.clone(),
        );
        registry.register(
            "unsent_frames",
            "Frames that were not sent, because too much waits for their peer",
            metrics.unsent.clone(),
        );
        registry.register("sent_frames", "Frames sent by channel", metrics.sent.clone());
        registry.register("sent_frame_bytes", "Bytes of frames sent by channel", metrics.sent_bytes.clone());
        metrics
    }

    pub(super) fn decided(&self, height: u64, transactions: usize, is_block: bool, micros: Option<u64>) {
        self.height.set(height as i64);
        self.halted.set(0);
        self.heights.get_or_create(&Kind { kind: if is_block { "block" } else { "skip" } }).inc();
        self.transactions.inc_by(transactions as u64);
        if let Some(micros) = micros {
            self.decision_seconds.observe(micros as f64 / 1e6);
        }
    }

    pub(super) fn unsent(&self, channel: Channel, frames: u64) {
        self.unsent.get_or_create(&Kind { kind: channel_name(channel) }).inc_by(frames);
    }

    pub(super) fn block_refused(&self, rule: &'static str) {
        self.refused_blocks.get_or_create(&Broken { rule }).inc();
    }

    pub(super) fn denied(&self, by: &'static str) {
        self.denied.get_or_create(&Denial { by }).inc();
    }

    pub(super) fn penalized(&self, severity: Severity) {
        self.penalties.get_or_create(&Offence { severity: severity.name() }).inc();
    }

    pub(super) fn refused(&self, reason: RefusalReason, by_us: bool) {
        let by = if by_us { "us" } else { "them" };
        self.refusals.get_or_create(&Refusal { reason: reason.code(), by }).inc();
    }

    /// What became of an admission.
    pub(super) fn admission(&self, outcome: &'static str) {
        self.admissions.get_or_create(&Outcome { outcome }).inc();
    }

    /// What became of transactions that a peer sent.
    pub(super) fn peer_transactions(&self, outcome: &'static str, count: usize) {
        self.peer_transactions.get_or_create(&Outcome { outcome }).inc_by(count as u64);
    }

    /// How many peers are known, by source.
    pub(super) fn known_peers(&self, table: &Table) {
        for source in Source::ALL {
            let known = table.iter().filter(|(_, entry)| entry.sources.contains(&source)).count();
            self.known_peers.get_or_create(&Told { source: source.name() }).set(known as i64);
        }
    }

    pub(super) fn sent(&self, channel: Channel, bytes: usize) {
        let kind = channel_name(channel);
        self.sent.get_or_create(&Kind { kind }).inc();
        self.sent_bytes.get_or_create(&Kind { kind }).inc_by(bytes as u64);
    }
}

fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Consensus => "consensus",
        Channel::Transactions => "transactions",
    }
}
