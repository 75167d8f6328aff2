//! Evidence: proof that a validator signed twice, and what follows from it.
//!
//! Two offences can be proved by two signatures of one validator at one height, whoever shows them:
//!
//! - a **double vote**: two votes for different values. An honest validator votes once in a height.
//! - a **double proposal**: chain signatures (votes or endorsements) on two different blocks by the validator that
//!   *led* the height. An honest leader signs the block that it built, and no block that it did not sign can be
//!   extracted, so it has nothing else to sign. (Two endorsements by any other validator are proper: it has
//!   extracted two blocks of a leader that cheats.)
//!
//! Leadership is a function of the chain, so the state remembers who led the last [`MAX_AGE`] heights. A node that
//! goes back to the state before a height (rule R1) and finds itself the leader of a height in which it has
//! already signed must not propose there.
//!
//! The offender is suspended: from the next height on its signatures no longer count and it never leads. Its
//! removal is proposed, as the proposal with the id of the transaction that brought the evidence, and waits for
//! the approval of the others (see [`governance`]). Suspension does not wait for anything, also when it leaves
//! fewer validators than the quorum: then more than `f` were faulty, and the chain stands still rather than
//! count on those who were caught. Suspended validators do not lower `n`; they are among its `f`.
//!
//! Who is no longer a validator is not punished any more; who is one again can be, for another height.
//!
//! | table | key | value |
//! |---|---|---|
//! | `evidence/leader/` | height | key of the validator that led it, for the last [`MAX_AGE`] heights |
//! | `evidence/offence/` | offender's key, height | [`Offence`] |

use super::{Application, Context, HeightContext, governance};
use crate::{
    hash::TransactionId,
    keys::{PublicKey, Signature},
    signed::{Height, Kind, Slot, Value},
    state::{View, key},
};
use serde::{Deserialize, Serialize};

/// How many heights after an offence it can still be proved.
pub const MAX_AGE: Height = 1000;

const LEADERS: &str = "evidence/leader/";
const OFFENCES: &str = "evidence/offence/";

/// Something that the offender signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What kind of signature.
    pub kind: Kind,
    /// For which value.
    pub value: Value,
    /// The signature over both, the network and the height (see [`Slot::payload`]).
    pub signature: Signature,
}

/// Two signatures that no honest validator would both give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The key of the validator that signed both.
    pub offender: PublicKey,
    /// The height in which it did.
    pub height: Height,
    /// One of them.
    pub first: Statement,
    /// The other.
    pub second: Statement,
}

/// What can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffenceKind {
    /// Two votes for different values.
    DoubleVote,
    /// The leader's signatures on two blocks.
    DoubleProposal,
}

/// An offence that was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offence {
    /// What was proved.
    pub kind: OffenceKind,
    /// Height that decided it.
    pub proved: Height,
    /// The transaction that brought the evidence; also the id of the proposal to remove the offender.
    pub transaction: TransactionId,
}

/// The rules of evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The accused is no validator now.
    #[error("{0} is not a validator, so there is nobody to suspend")]
    NotValidator(PublicKey),
    /// Its offence at this height is on the chain.
    #[error("the offence of {offender} at height {height} is known already")]
    AlreadyKnown {
        /// Who.
        offender: PublicKey,
        /// Where.
        height: Height,
    },
    /// The accused is suspended for another offence.
    #[error("{0} is suspended already, so nothing would follow from this evidence")]
    AlreadySuspended(PublicKey),
    /// The height is not decided.
    #[error("height {found} is not decided yet: send the evidence again after it, the height now is {now}")]
    NotDecided {
        /// Height of the evidence.
        found: Height,
        /// Height being decided.
        now: Height,
    },
    /// The offence is too long ago.
    #[error("height {found} is more than {MAX_AGE} heights before {now}: it is too late for this evidence")]
    TooOld {
        /// Height of the evidence.
        found: Height,
        /// Height being decided.
        now: Height,
    },
    /// Both signatures are for one value.
    #[error("both signatures are for {0}: nobody is forbidden to say the same thing twice")]
    SameValue(Value),
    /// Kinds of signatures that may well differ in value.
    #[error(
        "a signature of kind {first:?} and one of kind {second:?} prove nothing: give two votes, or two votes or \
         endorsements by the leader"
    )]
    Kinds {
        /// Kind of the first.
        first: Kind,
        /// Kind of the second.
        second: Kind,
    },
    /// Endorsements by somebody who did not lead.
    #[error("{0} did not lead height {1}, and others than the leader may endorse two blocks")]
    NotLeader(PublicKey, Height),
    /// A double proposal that is not about two blocks.
    #[error("a double proposal is proved by signatures on two blocks; one of these is for a skip")]
    NotTwoBlocks,
    /// A signature does not verify.
    #[error("the {0} signature is not that of the accused for this kind, value, height and network")]
    Signature(&'static str),
}

/// Which validator led a height, for the last [`MAX_AGE`] heights.
pub fn leader(state: &View<'_>, height: Height) -> Option<PublicKey> {
    state.get(&leader_key(height))
}

/// The offences that were ever proved, by offender and height.
pub fn offences<'v>(state: &'v View<'_>) -> impl Iterator<Item = (PublicKey, Height, Offence)> + 'v {
    state.prefix(OFFENCES.as_bytes()).filter_map(|(key, _)| {
        let (offender, height) = key[OFFENCES.len()..].split_first_chunk::<32>()?;
        let height = Height::from_be_bytes(height.try_into().ok()?);
        Some((PublicKey(*offender), height, state.get(key)?))
    })
}

impl Evidence {
    /// What the two statements prove if their signatures are good. `led` is whether the offender led the height.
    ///
    /// # Errors
    /// The rule by which they prove nothing.
    pub fn offence(&self, led: bool) -> Result<OffenceKind, EvidenceError> {
        let (first, second) = (&self.first, &self.second);
        if first.value == second.value {
            return Err(EvidenceError::SameValue(first.value));
        }
        match (first.kind, second.kind) {
            (Kind::Vote, Kind::Vote) => Ok(OffenceKind::DoubleVote),
            (Kind::Vote | Kind::Endorse, Kind::Vote | Kind::Endorse) => {
                if !led {
                    return Err(EvidenceError::NotLeader(self.offender, self.height));
                }
                if first.value == Value::Skip || second.value == Value::Skip {
                    return Err(EvidenceError::NotTwoBlocks);
                }
                Ok(OffenceKind::DoubleProposal)
            }
            (first, second) => Err(EvidenceError::Kinds { first, second }),
        }
    }

    /// Verifies both signatures.
    fn check_signatures(&self, slot: Slot) -> Result<(), EvidenceError> {
        for (name, statement) in [("first", &self.first), ("second", &self.second)] {
            if !slot.verify(&self.offender, statement.kind, &statement.value, &statement.signature) {
                return Err(EvidenceError::Signature(name));
            }
        }
        Ok(())
    }

    /// Whether the offender led the height, by what the state remembers.
    fn led(&self, state: &View<'_>) -> bool {
        leader(state, self.height) == Some(self.offender)
    }
}

/// The application.
pub struct Evidences;

impl Application for Evidences {
    type Payload = Evidence;
    type Refusal = EvidenceError;

    fn check(evidence: &Evidence, context: &Context<'_>, state: &View<'_>) -> Result<(), EvidenceError> {
        let (offender, found, now) = (evidence.offender, evidence.height, context.at.height);
        if found >= now {
            return Err(EvidenceError::NotDecided { found, now });
        }
        if now - found > MAX_AGE {
            return Err(EvidenceError::TooOld { found, now });
        }
        if state.contains(&offence_key(evidence)) {
            return Err(EvidenceError::AlreadyKnown { offender, height: found });
        }
        match governance::is_suspended(state, &offender) {
            None => return Err(EvidenceError::NotValidator(offender)),
            Some(true) => return Err(EvidenceError::AlreadySuspended(offender)),
            Some(false) => {}
        }
        evidence.offence(evidence.led(state))?;
        evidence.check_signatures(Slot { network: context.at.genesis.network_id(), height: found })
    }

    fn is_final(refusal: &EvidenceError) -> bool {
        use EvidenceError::{Kinds, NotTwoBlocks, SameValue, Signature};
        matches!(refusal, SameValue(_) | Kinds { .. } | NotTwoBlocks | Signature(_))
    }

    fn apply(evidence: &Evidence, context: &Context<'_>, state: &mut View<'_>) {
        if let Ok(kind) = evidence.offence(evidence.led(state)) {
            let offence = Offence { kind, proved: context.at.height, transaction: context.transaction };
            state.put(offence_key(evidence), &offence);
        }
        governance::suspend(state, &evidence.offender);
        governance::propose_removal(context, &evidence.offender, state);
    }

    fn end_height(at: &HeightContext<'_>, state: &mut View<'_>) {
        state.put(leader_key(at.height), &at.leader);
        if let Some(forgotten) = at.height.checked_sub(MAX_AGE) {
            state.remove(&leader_key(forgotten));
        }
    }
}

fn leader_key(height: Height) -> Vec<u8> {
    key(LEADERS, &[&height.to_be_bytes()])
}

fn offence_key(evidence: &Evidence) -> Vec<u8> {
    key(OFFENCES, &[&evidence.offender.0, &evidence.height.to_be_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        applications::governance::{
            Change, Governance,
            testing::{Ledger, block, secret},
        },
        keys::SecretKey,
    };

    const LED_BY_1: Height = 3;

    /// A ledger of four validators at height 5, in which validator 1 led height 3 and validator 0 the others.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(4);
        for height in 1..5 {
            let leader = u8::from(height == LED_BY_1);
            ledger.end_height_led_by(secret(leader).public());
        }
        assert_eq!(ledger.height, 5);
        ledger
    }

    fn says(ledger: &Ledger, by: &SecretKey, height: Height, kind: Kind, value: Value) -> Statement {
        let slot = Slot { network: ledger.genesis.network_id(), height };
        Statement { kind, value, signature: slot.sign(by, kind, &value) }
    }

    /// Evidence against validator 1 at height 3.
    fn evidence(ledger: &Ledger, first: (Kind, Value), second: (Kind, Value)) -> Evidence {
        evidence_at(ledger, 1, LED_BY_1, first, second)
    }

    fn evidence_at(
        ledger: &Ledger,
        offender: u8,
        height: Height,
        first: (Kind, Value),
        second: (Kind, Value),
    ) -> Evidence {
        let by = secret(offender);
        Evidence {
            offender: by.public(),
            height,
            first: says(ledger, &by, height, first.0, first.1),
            second: says(ledger, &by, height, second.0, second.1),
        }
    }

    #[test]
    fn two_votes_or_two_chain_signatures_of_the_leader_are_proof() {
        use Kind::{Endorse, Vote};
        use OffenceKind::{DoubleProposal, DoubleVote};
        for (offender, first, second, kind) in [
            (1, (Vote, block(1)), (Vote, block(2)), DoubleVote),
            (1, (Vote, Value::Skip), (Vote, block(2)), DoubleVote),
            (2, (Vote, block(1)), (Vote, Value::Skip), DoubleVote),
            (1, (Vote, block(1)), (Endorse, block(2)), DoubleProposal),
            (1, (Endorse, block(1)), (Vote, block(2)), DoubleProposal),
            (1, (Endorse, block(1)), (Endorse, block(2)), DoubleProposal),
        ] {
            let mut ledger = ledger();
            let evidence = evidence_at(&ledger, offender, LED_BY_1, first, second);
            let transaction = ledger.run::<Evidences>(&secret(9), &evidence).unwrap();
            let view = ledger.state.view();
            let offence = Offence { kind, proved: 5, transaction };
            assert_eq!(offences(&view).collect::<Vec<_>>(), [(evidence.offender, LED_BY_1, offence)]);
        }
    }

    #[test]
    fn the_offender_is_suspended_and_the_others_may_remove_it() {
        let mut ledger = ledger();
        let evidence = evidence(&ledger, (Kind::Vote, block(1)), (Kind::Vote, block(2)));
        let id = ledger.run::<Evidences>(&secret(9), &evidence).unwrap();
        ledger.end_height();
        let set = governance::validator_set(&ledger.state.view());
        let suspended: Vec<bool> = set.members.iter().map(|member| member.suspended).collect();
        assert_eq!((set.len(), set.quorum(), suspended), (4, 3, vec![false, true, false, false]));
        let proposal = governance::proposal(&ledger.state.view(), &id).unwrap();
        assert_eq!(proposal.change, Change::RemoveValidator(evidence.offender));
        assert_eq!((proposal.author, proposal.approvals), (None, vec![]));
        let approval = governance::Payload::Approve { proposal: id };
        assert_eq!(
            ledger.run::<Governance>(&secret(1), &approval),
            Err(governance::GovernanceError::Suspended(evidence.offender))
        );
        for validator in [0, 2, 3] {
            ledger.run::<Governance>(&secret(validator), &approval).unwrap();
        }
        ledger.end_height();
        ledger.end_height();
        assert_eq!(governance::validator_set(&ledger.state.view()).index_of(&evidence.offender), None);
    }

    #[test]
    fn more_may_be_suspended_than_the_quorum_can_bear() {
        let mut ledger = ledger();
        for offender in 0..4 {
            let votes = ((Kind::Vote, block(1)), (Kind::Vote, Value::Skip));
            let evidence = evidence_at(&ledger, offender, 2, votes.0, votes.1);
            ledger.run::<Evidences>(&secret(9), &evidence).unwrap();
        }
        let set = governance::validator_set(&ledger.state.view());
        assert_eq!((set.len(), set.faulty()), (4, 1));
        assert!(set.members.iter().all(|member| member.suspended));
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        use Kind::{Commit, Endorse, RelayCertificate, RelaySupport, Vote};
        let ledger = &mut ledger();
        let accused = secret(1).public();
        let good = evidence(ledger, (Vote, block(1)), (Vote, block(2)));
        let mut cases = vec![
            (evidence(ledger, (Vote, block(1)), (Endorse, block(1))), EvidenceError::SameValue(block(1))),
            (evidence(ledger, (Vote, Value::Skip), (Endorse, block(1))), EvidenceError::NotTwoBlocks),
            (
                evidence_at(ledger, 1, 2, (Endorse, block(1)), (Endorse, block(2))),
                EvidenceError::NotLeader(accused, 2),
            ),
            (
                evidence_at(ledger, 2, LED_BY_1, (Vote, block(1)), (Endorse, block(2))),
                EvidenceError::NotLeader(secret(2).public(), LED_BY_1),
            ),
            (
                evidence_at(ledger, 9, 3, (Vote, block(1)), (Vote, block(2))),
                EvidenceError::NotValidator(secret(9).public()),
            ),
            (
                evidence_at(ledger, 1, 5, (Vote, block(1)), (Vote, block(2))),
                EvidenceError::NotDecided { found: 5, now: 5 },
            ),
            (
                Evidence { first: says(ledger, &secret(2), 3, Vote, block(1)), ..good.clone() },
                EvidenceError::Signature("first"),
            ),
            (
                Evidence { second: says(ledger, &secret(1), 4, Vote, block(2)), ..good.clone() },
                EvidenceError::Signature("second"),
            ),
            (
                Evidence { second: Statement { kind: Endorse, ..good.second.clone() }, ..good.clone() },
                EvidenceError::Signature("second"),
            ),
        ];
        for (first, second) in
            [(Commit, Vote), (Endorse, Commit), (RelayCertificate, RelayCertificate), (Vote, RelaySupport)]
        {
            let evidence = evidence(ledger, (first, block(1)), (second, block(2)));
            cases.push((evidence, EvidenceError::Kinds { first, second }));
        }
        for (evidence, refusal) in cases {
            assert_eq!(ledger.run::<Evidences>(&secret(9), &evidence), Err(refusal), "{evidence:?}");
        }
        let mut foreign = good.clone();
        let other = Slot { network: crate::hash::Hash([7; 32]), height: 3 };
        foreign.first.signature = other.sign(&secret(1), Vote, &foreign.first.value);
        assert_eq!(ledger.run::<Evidences>(&secret(9), &foreign), Err(EvidenceError::Signature("first")));
        ledger.run::<Evidences>(&secret(9), &good).unwrap();
    }

    #[test]
    fn an_offence_counts_once() {
        let mut ledger = ledger();
        let (one, two, skip) = ((Kind::Vote, block(1)), (Kind::Vote, block(2)), (Kind::Vote, Value::Skip));
        let offender = secret(1).public();
        let first = evidence(&ledger, one, two);
        ledger.run::<Evidences>(&secret(9), &first).unwrap();
        let same = evidence(&ledger, skip, one);
        let refused = ledger.run::<Evidences>(&secret(9), &same);
        assert_eq!(refused, Err(EvidenceError::AlreadyKnown { offender, height: LED_BY_1 }));
        let other = evidence_at(&ledger, 1, 2, one, two);
        let refused = ledger.run::<Evidences>(&secret(9), &other);
        assert_eq!(refused, Err(EvidenceError::AlreadySuspended(offender)));
    }

    #[test]
    fn leaders_are_remembered_as_long_as_evidence_counts() {
        let mut ledger = ledger();
        let evidence = evidence(&ledger, (Kind::Endorse, block(1)), (Kind::Endorse, block(2)));
        while ledger.height < LED_BY_1 + MAX_AGE {
            ledger.end_height();
        }
        ledger.check::<Evidences>(&secret(9), &evidence).unwrap();
        ledger.end_height();
        assert_eq!(leader(&ledger.state.view(), LED_BY_1), None);
        assert!(leader(&ledger.state.view(), LED_BY_1 + 1).is_some());
        let refused = ledger.check::<Evidences>(&secret(9), &evidence);
        assert_eq!(refused, Err(EvidenceError::TooOld { found: LED_BY_1, now: LED_BY_1 + MAX_AGE + 1 }));
    }
}
