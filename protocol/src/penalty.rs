//! What peers are blamed for, and when they have done enough of it.

use crate::{peer::Peer, time::Time};
use std::{collections::BTreeMap, time::Duration};

/// Something that an honest peer does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// How bad it is.
    pub severity: Severity,
    /// What it was, for the log and the metrics.
    pub reason: String,
}

/// How bad an offence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Can happen to an honest node under load or in a race.
    Slight,
    /// Wrong, and perhaps another version of the program.
    Serious,
    /// A provable lie or bytes that no honest node sends: the peer is disconnected and kept out for a while.
    Fatal,
}

impl Severity {
    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slight => "slight",
            Self::Serious => "serious",
            Self::Fatal => "fatal",
        }
    }

    fn points(self) -> u32 {
        match self {
            Self::Slight => 1,
            Self::Serious => 20,
            Self::Fatal => SCORE_LIMIT,
        }
    }
}

impl Penalty {
    /// A slight offence.
    pub fn slight(reason: impl Into<String>) -> Self {
        Self { severity: Severity::Slight, reason: reason.into() }
    }

    /// A serious offence.
    pub fn serious(reason: impl Into<String>) -> Self {
        Self { severity: Severity::Serious, reason: reason.into() }
    }

    /// A fatal offence.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, reason: reason.into() }
    }
}

/// Points at which a peer is kept out.
pub const SCORE_LIMIT: u32 = 100;

/// Time in which one point is forgotten.
pub const FORGET_POINT_AFTER: Duration = Duration::from_secs(3);

/// How long a peer is kept out.
pub const KEPT_OUT_FOR: Duration = Duration::from_secs(60);

/// Most peers whose score is kept; those with the fewest points are forgotten first.
pub const MAX_SCORES: usize = 4096;

#[derive(Clone, Copy)]
struct Score {
    points: u32,
    updated: Time,
    kept_out_until: Option<Time>,
}

/// The scores of all peers: points that fade.
#[derive(Default)]
pub struct Scores(BTreeMap<Peer, Score>);

impl Scores {
    /// Adds the points of an offence; true when the peer is to be disconnected and kept out from now on.
    pub fn penalize(&mut self, peer: Peer, severity: Severity, now: Time) -> bool {
        if self.0.len() >= MAX_SCORES && !self.0.contains_key(&peer) {
            let mildest = self.0.iter().min_by_key(|(_, score)| score.points).map(|(peer, _)| *peer);
            mildest.map(|mildest| self.0.remove(&mildest));
        }
        let score = self.0.entry(peer).or_insert(Score { points: 0, updated: now, kept_out_until: None });
        let forgotten = now.since(score.updated).as_secs() / FORGET_POINT_AFTER.as_secs();
        score.points =
            score.points.saturating_sub(forgotten.min(u64::from(SCORE_LIMIT)) as u32) + severity.points();
        score.updated = now;
        if score.points >= SCORE_LIMIT {
            score.points = 0;
            score.kept_out_until = Some(now + KEPT_OUT_FOR);
            return true;
        }
        false
    }

    /// Whether the peer is kept out at `now`.
    pub fn is_kept_out(&self, peer: &Peer, now: Time) -> bool {
        self.0.get(peer).and_then(|score| score.kept_out_until).is_some_and(|until| now < until)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn points_add_up_and_fade() {
        let peer = Peer::from_bytes(b"peer").unwrap();
        let mut scores = Scores::default();
        let second = |second| Time::after_start(Duration::from_secs(second));
        for _ in 0..99 {
            assert!(!scores.penalize(peer, Severity::Slight, second(0)));
        }
        assert!(!scores.penalize(peer, Severity::Slight, second(30)), "ten points are forgotten by then");
        assert!(scores.penalize(peer, Severity::Serious, second(30)));
        assert!(scores.is_kept_out(&peer, second(89)));
        assert!(!scores.is_kept_out(&peer, second(90)));
    }

    #[test]
    fn a_fatal_offence_is_enough_and_the_table_is_bounded() {
        let mut scores = Scores::default();
        for number in 0..2 * MAX_SCORES as u32 {
            let peer = Peer::from_bytes(&number.to_be_bytes()).unwrap();
            assert!(scores.penalize(peer, Severity::Fatal, Time(0)));
        }
        assert_eq!(scores.0.len(), MAX_SCORES);
    }
}
