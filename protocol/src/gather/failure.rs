//! Why a gathering ends without a genesis, and whom that names.

use crate::peer::Peer;
use serde::{Deserialize, Serialize};

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reason {
    /// The time is over, and not all are registered.
    TooFew {
        /// Those who are.
        registered: Vec<Peer>,
        /// How many should be.
        parties: u16,
    },
    /// N others were there before.
    Late,
    /// This party came to the roster in one run and to the others in another.
    BeganAgain(Peer),
    /// This party was told another roster.
    OtherRoster {
        /// Who.
        peer: Peer,
        /// Whom only this side was told of.
        only_here: Vec<Peer>,
        /// Whom only that party was told of.
        only_there: Vec<Peer>,
    },
    /// This party gathers for something else.
    OtherTerms {
        /// Who.
        peer: Peer,
        /// In which point.
        field: String,
    },
    /// This party does not hold the validator key that it brings.
    ForeignKey(Peer),
    /// Two parties have one name.
    SameName(Peer, Peer),
    /// Two parties have one validator key.
    SameKey(Peer, Peer),
    /// With what this party brings, if it is one party's fault, no network can be.
    Unusable {
        /// Who.
        peer: Option<Peer>,
        /// What is wrong.
        rule: String,
    },
    /// This party has signed two different statements in one run: it showed different things to different others.
    Lied(Peer),
    /// This party has signed another genesis than follows from the cards.
    OtherGenesis(Peer),
    /// The time is over, and these have not shown their cards to this party.
    NoCard(Vec<Peer>),
    /// The time is over, and these have not signed.
    NoSignature(Vec<Peer>),
}

impl Reason {
    /// Those whom it names.
    pub fn names(&self) -> Vec<Peer> {
        match self {
            Self::TooFew { .. } | Self::Late => Vec::new(),
            Self::BeganAgain(peer)
            | Self::OtherRoster { peer, .. }
            | Self::OtherTerms { peer, .. }
            | Self::ForeignKey(peer)
            | Self::Lied(peer)
            | Self::OtherGenesis(peer) => vec![*peer],
            Self::SameName(first, second) | Self::SameKey(first, second) => vec![*first, *second],
            Self::Unusable { peer, .. } => peer.iter().copied().collect(),
            Self::NoCard(peers) | Self::NoSignature(peers) => peers.clone(),
        }
    }

    /// The reason in words; `who` names a peer.
    pub fn describe(&self, who: impl Fn(&Peer) -> String) -> String {
        let list = |peers: &[Peer]| match peers {
            [] => "nobody".to_owned(),
            peers => peers.iter().map(&who).collect::<Vec<_>>().join(", "),
        };
        match self {
            Self::TooFew { registered, parties } => {
                let missing = usize::from(*parties).saturating_sub(registered.len());
                format!("{missing} of {parties} did not register in time; there were: {}", list(registered))
            }
            Self::Late => "all places were taken: as many as gather had registered before this node".into(),
            Self::BeganAgain(peer) => {
                format!("{} registered more than once: it began again in the middle, or lies", who(peer))
            }
            Self::OtherRoster { peer, only_here, only_there } => format!(
                "{} was told another roster: without {}, but with {}; the tracker told different things, or somebody \
                 came or left in between",
                who(peer),
                list(only_here),
                list(only_there),
            ),
            Self::OtherTerms { peer, field } => format!("{} gathers for another {field}", who(peer)),
            Self::ForeignKey(peer) => format!("{} does not hold the validator key that it brings", who(peer)),
            Self::SameName(first, second) => {
                format!("{} and {} have the same name: each needs its own", who(first), who(second))
            }
            Self::SameKey(first, second) => {
                format!("{} and {} have the same validator key: each needs its own", who(first), who(second))
            }
            Self::Unusable { peer, rule } => match peer {
                Some(peer) => format!("with what {} brings no network can be: {rule}", who(peer)),
                None => format!("no network can be on these terms: {rule}"),
            },
            Self::Lied(peer) => {
                format!("{} lies: it signed different things for different parties", who(peer))
            }
            Self::OtherGenesis(peer) => {
                format!("{} signed another genesis than follows from what all have brought", who(peer))
            }
            Self::NoCard(peers) => format!("no word in time from {}", list(peers)),
            Self::NoSignature(peers) => format!("no signature in time from {}", list(peers)),
        }
    }
}

/// Why, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The party that claims it; `None` if this party has found it itself.
    pub claimed_by: Option<Peer>,
    /// Why.
    pub reason: Reason,
}

impl Failure {
    /// What was found here.
    pub(super) fn found(reason: Reason) -> Self {
        Self { claimed_by: None, reason }
    }

    /// How much it weighs: a proof more than a finding, a finding more than a claim.
    pub(super) fn weight(&self) -> u8 {
        match (self.claimed_by, &self.reason) {
            (None, Reason::Lied(_)) => 2,
            (None, _) => 1,
            (Some(_), _) => 0,
        }
    }

    /// The failure in words; `who` names a peer.
    pub fn describe(&self, who: impl Fn(&Peer) -> String) -> String {
        match &self.claimed_by {
            None => self.reason.describe(who),
            Some(peer) => format!("{} stopped, saying: {}", who(peer), self.reason.describe(&who)),
        }
    }
}
