//! Governance: who decides, and within which bounds.
//!
//! A validator *proposes* a change, which counts as its approval; others *approve* it. Once a quorum `q` of the
//! set of that time has approved, at height `h`, the change is valid from height `h+2` on: height `h+1` may have
//! been opened already when `h` is decided. `f` follows the new set by the rule of the genesis file. A proposal
//! that finds no quorum within [`EXPIRY_HEIGHTS`] heights is forgotten.
//!
//! *Suspended* validators (see [`evidence`](super::evidence)) stay members, through all changes of the set: `n`,
//! `f` and `q` are as before, and those suspended are among the `f`. They may not propose, approve, return to the
//! rotation nor vote in polls, and their approvals no longer count. Whoever is to come back after a suspension has
//! to be removed first and added again.
//!
//! | table | key | value |
//! |---|---|---|
//! | `governance/set` | | [`ValidatorSet`] of the next height |
//! | `governance/limits` | | [`Limits`] of the next height |
//! | `governance/member/` | validator's key | whether it is suspended; the set once more, for single look-ups |
//! | `governance/sender/` | key | nothing: the senders that the genesis file registers |
//! | `governance/proposal/` | proposal | [`Proposal`], open or approved, until it expires |
//! | `governance/expiry/` | height, proposal | nothing: proposals by their last height |
//! | `governance/open/` | author's key | number of its open proposals |
//! | `governance/due/` | first height, place in it | [`Change`] that is approved and not yet in effect |

mod change;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

pub use change::Change;

use super::{Application, Context, HeightContext};
use crate::{
    codec::DecodeError,
    genesis::{Genesis, LimitError, Limits},
    hash::{Hash, TransactionId},
    keys::PublicKey,
    rotation::{ResumeError, Rotation},
    signed::Height,
    state::{View, key},
    validators::{FaultBound, MAX_NAME_BYTES, MAX_VALIDATORS, ValidatorSet},
};
use change::Plan;
use serde::{Deserialize, Serialize};

/// How many heights after its own a proposal may be approved.
pub const EXPIRY_HEIGHTS: Height = 10_000;

/// Most proposals of one validator that are open at a time.
pub const MAX_OPEN_PROPOSALS: u16 = 64;

/// From the height of the approval to the first height at which a change is valid.
pub const EFFECT_HEIGHTS: Height = 2;

const SET: &str = "governance/set";
const LIMITS: &str = "governance/limits";
const MEMBERS: &str = "governance/member/";
const SENDERS: &str = "governance/sender/";
const PROPOSALS: &str = "governance/proposal/";
const EXPIRIES: &str = "governance/expiry/";
const OPEN: &str = "governance/open/";
const DUE: &str = "governance/due/";

/// What a validator can ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Payload {
    /// Proposes a change and approves it. The proposal's id is the transaction's.
    Propose {
        /// What is to change.
        change: Change,
    },
    /// Approves a proposal.
    Approve {
        /// Its id.
        proposal: Hash,
    },
    /// Takes the sender, whose turn to lead was skipped, back into the rotation.
    Resume,
}

/// A proposal, open or approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What is to change.
    pub change: Change,
    /// Who proposed it; nobody, if it follows from evidence.
    pub author: Option<PublicKey>,
    /// Height at which it was proposed.
    pub proposed: Height,
    /// Last height at which it may be approved.
    pub expires: Height,
    /// Who approved it, in that order. Those who are suspended or no longer validators do not count.
    pub approvals: Vec<PublicKey>,
    /// First height at which the change is valid, once a quorum has approved.
    pub effective: Option<Height>,
}

/// The rules of governance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GovernanceError {
    /// The sender is no validator.
    #[error("{0} is not a validator: only validators take part in governance")]
    NotValidator(PublicKey),
    /// The sender is suspended.
    #[error("{0} is suspended for having signed twice: the others have to remove it and may add it again")]
    Suspended(PublicKey),
    /// The sender has too many open proposals.
    #[error(
        "{0} has {MAX_OPEN_PROPOSALS} open proposals, the most there may be: wait until some are approved or expire"
    )]
    TooManyProposals(PublicKey),
    /// No such proposal.
    #[error(
        "there is no proposal {0}: check the id; if it has expired ({EXPIRY_HEIGHTS} heights), propose it again"
    )]
    UnknownProposal(Hash),
    /// The proposal has its quorum.
    #[error("proposal {proposal} is approved and valid from height {effective} on: nothing is left to do")]
    AlreadyDecided {
        /// The proposal.
        proposal: Hash,
        /// First height at which it is valid.
        effective: Height,
    },
    /// The sender has approved the proposal before.
    #[error("{0} has approved this proposal already: it needs the approval of others")]
    AlreadyApproved(PublicKey),
    /// The new validator's name.
    #[error("a validator's name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
    /// The new validator's key cannot sign.
    #[error("{0} is not an Ed25519 public key; print a validator's with `conclave key show`")]
    UnusableKey(PublicKey),
    /// The new validator's name is taken.
    #[error("the name {0:?} is taken: each validator needs its own")]
    DuplicateName(String),
    /// The new validator's key is taken.
    #[error("{key} is already the key of validator {name:?}: each validator needs its own")]
    DuplicateKey {
        /// The key.
        key: PublicKey,
        /// Whose it is.
        name: String,
    },
    /// The set is full.
    #[error("the set has {MAX_VALIDATORS} validators, the most there can be: remove one first")]
    TooManyValidators,
    /// The validator to remove is none.
    #[error("{0} is not a validator, or its removal is approved already")]
    UnknownValidator(PublicKey),
    /// The removal would leave too few.
    #[error("this would leave {left} validators, fewer than the minimum of {minimum}: add one first")]
    TooFewValidators {
        /// How many would be left.
        left: usize,
        /// The limit.
        minimum: u16,
    },
    /// Those not suspended could not decide anything any more.
    #[error(
        "this would leave {active} validators that are not suspended, fewer than the quorum of {quorum}: remove \
         suspended ones first"
    )]
    QuorumLost {
        /// Members that are not suspended.
        active: usize,
        /// The quorum of the changed set.
        quorum: usize,
    },
    /// A limit that cannot work.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// The sender's return to the rotation does not count.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

/// The validator set of the next height; in the middle of a block, with suspensions by that block.
pub fn validator_set(state: &View<'_>) -> ValidatorSet {
    state.get(SET.as_bytes()).expect("a state has a validator set from the beginning")
}

/// The limits of the next height.
pub fn limits(state: &View<'_>) -> Limits {
    state.get(LIMITS.as_bytes()).expect("a state has limits from the beginning")
}

/// Whether what a chain reads at every height is there and of its shape.
///
/// # Errors
/// What is not.
pub(crate) fn check(state: &View<'_>) -> Result<(), DecodeError> {
    state.checked::<ValidatorSet>(SET.as_bytes(), "the validator set")?;
    state.checked::<Limits>(LIMITS.as_bytes(), "the limits")?;
    Ok(())
}

/// Whether `key` is that of a validator that is not suspended; one look-up.
pub fn is_active(state: &View<'_>, key: &PublicKey) -> bool {
    is_suspended(state, key) == Some(false)
}

/// Whether the validator with this key is suspended; `None` if there is none.
pub fn is_suspended(state: &View<'_>, validator: &PublicKey) -> Option<bool> {
    state.get(&key(MEMBERS, &[&validator.0]))
}

/// Proposals by id, open and approved ones, until they expire.
pub fn proposals<'v>(state: &'v View<'_>) -> impl Iterator<Item = (Hash, Proposal)> + 'v {
    state.prefix(PROPOSALS.as_bytes()).filter_map(|(key, _)| {
        let id = key[PROPOSALS.len()..].try_into().map(Hash).ok()?;
        Some((id, state.get(key)?))
    })
}

/// The proposal with this id, until it expires.
pub fn proposal(state: &View<'_>, id: &Hash) -> Option<Proposal> {
    state.get(&proposal_key(id))
}

/// Suspends the validator with this key, if there is one.
pub fn suspend(state: &mut View<'_>, validator: &PublicKey) {
    let mut set = validator_set(state);
    if let Some(member) = set.members.iter_mut().find(|member| member.validator.key == *validator) {
        member.suspended = true;
        write_set(state, &set);
    }
}

/// Proposes to remove a validator, without an author and without an approval; the id is that of the transaction
/// that `context` is about.
pub fn propose_removal(context: &Context<'_>, validator: &PublicKey, state: &mut View<'_>) {
    open(&context.transaction, Change::RemoveValidator(*validator), None, context.at.height, state);
}

/// The application.
pub struct Governance;

impl Application for Governance {
    type Payload = Payload;
    type Refusal = GovernanceError;

    fn begin(genesis: &Genesis, state: &mut View<'_>) {
        write_set(state, &genesis.validator_set());
        state.put(LIMITS.into(), &genesis.limits);
        genesis.senders.iter().for_each(|sender| state.put(key(SENDERS, &[&sender.0]), &()));
    }

    fn check(payload: &Payload, context: &Context<'_>, state: &View<'_>) -> Result<(), GovernanceError> {
        let sender = &context.sender;
        match is_suspended(state, sender) {
            None => return Err(GovernanceError::NotValidator(*sender)),
            Some(true) => return Err(GovernanceError::Suspended(*sender)),
            Some(false) => {}
        }
        match payload {
            Payload::Propose { change } => {
                if open_proposals(state, sender) >= MAX_OPEN_PROPOSALS {
                    return Err(GovernanceError::TooManyProposals(*sender));
                }
                plan(state, context.at.genesis.faulty).check(change)
            }
            Payload::Approve { proposal: id } => {
                let proposal = proposal(state, id).ok_or(GovernanceError::UnknownProposal(*id))?;
                if let Some(effective) = proposal.effective {
                    return Err(GovernanceError::AlreadyDecided { proposal: *id, effective });
                }
                if proposal.approvals.contains(sender) {
                    return Err(GovernanceError::AlreadyApproved(*sender));
                }
                plan(state, context.at.genesis.faulty).check(&proposal.change)
            }
            Payload::Resume => Ok(Rotation::read(state).check_resume(sender, context.at.height)?),
        }
    }

    fn is_final(refusal: &GovernanceError) -> bool {
        matches!(refusal, GovernanceError::Name | GovernanceError::UnusableKey(_))
    }

    fn apply(payload: &Payload, context: &Context<'_>, state: &mut View<'_>) {
        let sender = &context.sender;
        match payload {
            Payload::Propose { change } => {
                open(&context.transaction, change.clone(), Some(*sender), context.at.height, state);
                approve(&context.transaction, sender, &context.at, state);
            }
            Payload::Approve { proposal } => approve(proposal, sender, &context.at, state),
            Payload::Resume => Rotation::resume(sender, state),
        }
    }

    fn end_height(at: &HeightContext<'_>, state: &mut View<'_>) {
        let changed = make_due_changes(at, state);
        expire(at.height, state);
        if changed {
            decide_all(at, state);
        }
    }

    fn knows(sender: &PublicKey, state: &View<'_>) -> bool {
        is_active(state, sender) || state.contains(&key(SENDERS, &[&sender.0]))
    }
}

fn proposal_key(id: &Hash) -> Vec<u8> {
    key(PROPOSALS, &[&id.0])
}

/// Writes the set and the table of its members.
fn write_set(state: &mut View<'_>, set: &ValidatorSet) {
    let before: Vec<Vec<u8>> = state.prefix(MEMBERS.as_bytes()).map(|(key, _)| key.to_vec()).collect();
    for key in before {
        if !set.members.iter().any(|member| key.ends_with(&member.validator.key.0)) {
            state.remove(&key);
        }
    }
    for member in &set.members {
        state.put(key(MEMBERS, &[&member.validator.key.0]), &member.suspended);
    }
    state.put(SET.into(), set);
}

/// The set and limits once all approved changes are in effect.
fn plan(state: &View<'_>, bound: FaultBound) -> Plan {
    let mut plan = Plan { set: validator_set(state), limits: limits(state), bound };
    for (key, _) in state.prefix(DUE.as_bytes()) {
        if let Some(change) = state.get(key) {
            plan.apply(&change);
        }
    }
    plan
}

fn open(id: &TransactionId, change: Change, author: Option<PublicKey>, height: Height, state: &mut View<'_>) {
    let expires = height + EXPIRY_HEIGHTS;
    let proposal =
        Proposal { change, author, proposed: height, expires, approvals: Vec::new(), effective: None };
    state.put(proposal_key(id), &proposal);
    state.put(key(EXPIRIES, &[&expires.to_be_bytes(), &id.0]), &());
    if let Some(author) = author {
        let count = open_proposals(state, &author) + 1;
        state.put(key(OPEN, &[&author.0]), &count);
    }
}

/// How many open proposals a validator has.
fn open_proposals(state: &View<'_>, author: &PublicKey) -> u16 {
    state.get(&key(OPEN, &[&author.0])).unwrap_or(0)
}

/// Notes that a proposal is no longer open.
fn close(proposal: &Proposal, state: &mut View<'_>) {
    if let Some(author) = proposal.author {
        match open_proposals(state, &author).saturating_sub(1) {
            0 => state.remove(&key(OPEN, &[&author.0])),
            left => state.put(key(OPEN, &[&author.0]), &left),
        }
    }
}

fn approve(id: &Hash, validator: &PublicKey, at: &HeightContext<'_>, state: &mut View<'_>) {
    if let Some(mut proposal) = proposal(state, id) {
        proposal.approvals.push(*validator);
        decide(id, proposal, at, state);
    }
}

/// Writes a proposal, and what follows if a quorum has approved it.
fn decide(id: &Hash, mut proposal: Proposal, at: &HeightContext<'_>, state: &mut View<'_>) {
    let count = proposal.approvals.iter().filter(|validator| is_active(state, validator)).count();
    let possible = || plan(state, at.genesis.faulty).check(&proposal.change).is_ok();
    if count >= validator_set(state).quorum() && possible() {
        let effective = at.height + EFFECT_HEIGHTS;
        let of_that_height = key(DUE, &[&effective.to_be_bytes()]);
        let place = state.prefix(&of_that_height).count() as u64;
        state.put(key(DUE, &[&effective.to_be_bytes(), &place.to_be_bytes()]), &proposal.change);
        proposal.effective = Some(effective);
        close(&proposal, state);
    }
    state.put(proposal_key(id), &proposal);
}

/// Looks at all open proposals again, after the set and with it the quorum has changed.
fn decide_all(at: &HeightContext<'_>, state: &mut View<'_>) {
    let open: Vec<(Hash, Proposal)> =
        proposals(state).filter(|(_, proposal)| proposal.effective.is_none()).collect();
    for (id, proposal) in open {
        decide(&id, proposal, at, state);
    }
}

/// Makes the changes that are valid from the next height on. Gives whether there were any.
fn make_due_changes(at: &HeightContext<'_>, state: &mut View<'_>) -> bool {
    let next = at.height + 1;
    let due: Vec<(Vec<u8>, Change)> = state
        .prefix(DUE.as_bytes())
        .take_while(|(key, _)| key[DUE.len()..] < next.saturating_add(1).to_be_bytes()[..])
        .filter_map(|(key, _)| Some((key.to_vec(), state.get(key)?)))
        .collect();
    if due.is_empty() {
        return false;
    }
    let mut plan = Plan { set: validator_set(state), limits: limits(state), bound: at.genesis.faulty };
    for (key, change) in &due {
        plan.apply(change);
        state.remove(key);
    }
    write_set(state, &plan.set);
    state.put(LIMITS.into(), &plan.limits);
    true
}

/// Forgets the proposals whose last height was `height`.
fn expire(height: Height, state: &mut View<'_>) {
    let of_that_height = key(EXPIRIES, &[&height.to_be_bytes()]);
    let expired: Vec<(Vec<u8>, Hash)> = state
        .prefix(&of_that_height)
        .filter_map(|(key, _)| Some((key.to_vec(), Hash(key[of_that_height.len()..].try_into().ok()?))))
        .collect();
    for (expiry, id) in expired {
        if let Some(proposal) = proposal(state, &id).filter(|proposal| proposal.effective.is_none()) {
            close(&proposal, state);
        }
        state.remove(&proposal_key(&id));
        state.remove(&expiry);
    }
}
