#![allow(clippy::unwrap_used)]

use super::testing::{Ledger, secret, validator};
use super::*;
use crate::{keys::SecretKey, state::State, validators::Validator};

fn propose(ledger: &mut Ledger, by: u8, change: Change) -> Result<Hash, GovernanceError> {
    ledger.run::<Governance>(&secret(by), &Payload::Propose { change })
}

fn approve(ledger: &mut Ledger, by: u8, proposal: Hash) -> Result<Hash, GovernanceError> {
    ledger.run::<Governance>(&secret(by), &Payload::Approve { proposal })
}

/// Proposes by validator 0 and approves by `others`, all of which is allowed.
fn pass(ledger: &mut Ledger, others: &[u8], change: Change) -> Hash {
    let id = propose(ledger, 0, change).unwrap();
    others.iter().for_each(|by| {
        approve(ledger, *by, id).unwrap();
    });
    id
}

fn suspend_now(ledger: &mut Ledger, number: u8) {
    let mut view = ledger.state.view();
    suspend(&mut view, &secret(number).public());
    let changes = view.into_changes();
    ledger.state.apply(changes);
}

fn names(state: &State) -> Vec<String> {
    validator_set(&state.view()).members.into_iter().map(|member| member.validator.name).collect()
}

fn effective(ledger: &Ledger, id: &Hash) -> Option<Height> {
    proposal(&ledger.state.view(), id).unwrap().effective
}

#[test]
fn a_change_is_valid_two_heights_after_its_quorum() {
    let mut ledger = Ledger::new(4);
    let id = propose(&mut ledger, 0, Change::AddValidator(validator(9))).unwrap();
    ledger.end_height();
    approve(&mut ledger, 1, id).unwrap();
    assert_eq!(effective(&ledger, &id), None);
    assert_eq!(ledger.height, 2);
    approve(&mut ledger, 3, id).unwrap();
    assert_eq!(effective(&ledger, &id), Some(4));
    ledger.end_height();
    assert_eq!((ledger.height, names(&ledger.state).len()), (3, 4));
    assert!(!is_active(&ledger.state.view(), &secret(9).public()));
    ledger.end_height();
    assert_eq!(
        (ledger.height, names(&ledger.state)),
        (4, ["v0", "v1", "v2", "v3", "v9"].map(String::from).into())
    );
    assert!(is_active(&ledger.state.view(), &secret(9).public()));
    assert!(Governance::knows(&secret(9).public(), &ledger.state.view()));
    assert_eq!(ledger.state.view().prefix(DUE.as_bytes()).count(), 0);
}

#[test]
fn faults_follow_the_set_by_the_genesis_rule() {
    for (bound, faulty) in
        [(FaultBound::Third, [1, 2]), (FaultBound::AllButOne, [5, 6]), (FaultBound::Exactly(1), [1, 1])]
    {
        let mut ledger = Ledger::with_bound(6, bound);
        let before = validator_set(&ledger.state.view());
        let others: Vec<u8> = (1..before.quorum() as u8).collect();
        pass(&mut ledger, &others, Change::AddValidator(validator(9)));
        ledger.end_height();
        ledger.end_height();
        let after = validator_set(&ledger.state.view());
        assert_eq!([before.faulty, after.faulty], faulty, "{bound:?}");
    }
}

#[test]
fn a_removed_validator_is_gone_and_the_suspended_stay_suspended() {
    let mut ledger = Ledger::new(5);
    suspend_now(&mut ledger, 4);
    assert_eq!(is_suspended(&ledger.state.view(), &secret(4).public()), Some(true));
    assert!(!Governance::knows(&secret(4).public(), &ledger.state.view()));
    pass(&mut ledger, &[1, 2, 3], Change::AddValidator(validator(9)));
    ledger.end_height();
    ledger.end_height();
    pass(&mut ledger, &[1, 2, 3, 9], Change::RemoveValidator(secret(3).public()));
    ledger.end_height();
    ledger.end_height();
    let set = validator_set(&ledger.state.view());
    assert_eq!(names(&ledger.state), ["v0", "v1", "v2", "v4", "v9"].map(String::from));
    let suspended: Vec<bool> = set.members.iter().map(|member| member.suspended).collect();
    assert_eq!(suspended, [false, false, false, true, false]);
    assert_eq!(is_suspended(&ledger.state.view(), &secret(3).public()), None);
    assert!(!Governance::knows(&secret(3).public(), &ledger.state.view()));
}

#[test]
fn limits_change_as_a_whole() {
    let mut ledger = Ledger::new(4);
    let wanted = Limits { body_bytes: 1 << 20, minimum_validators: 4, ..Limits::default() };
    pass(&mut ledger, &[1, 2], Change::SetLimits(wanted.clone()));
    let removal = Change::RemoveValidator(secret(3).public());
    let refused = propose(&mut ledger, 0, removal.clone());
    assert_eq!(refused, Err(GovernanceError::TooFewValidators { left: 3, minimum: 4 }));
    ledger.end_height();
    assert_eq!(limits(&ledger.state.view()), Limits::default());
    ledger.end_height();
    assert_eq!(limits(&ledger.state.view()), wanted);
}

#[test]
fn a_lone_validator_decides_by_proposing() {
    let mut ledger = Ledger::new(1);
    let id = propose(&mut ledger, 0, Change::AddValidator(validator(1))).unwrap();
    assert_eq!(effective(&ledger, &id), Some(3));
}

#[test]
fn changes_that_break_a_rule_are_refused() {
    let named = |name: &str, number: u8| Validator { name: name.into(), ..validator(number) };
    let key = |number: u8| secret(number).public();
    let unusable = (0..=255u8).map(|byte| PublicKey([byte; 32])).find(|key| !key.is_usable()).unwrap();
    let limit = |limits: Limits| match limits.check(4) {
        Err(error) => (Change::SetLimits(limits), GovernanceError::Limits(error)),
        Ok(()) => panic!("{limits:?} are good"),
    };
    for (change, refusal) in [
        (Change::AddValidator(named("", 9)), GovernanceError::Name),
        (Change::AddValidator(named("bell\u{7}", 9)), GovernanceError::Name),
        (Change::AddValidator(named("v3", 9)), GovernanceError::DuplicateName("v3".into())),
        (
            Change::AddValidator(named("new", 3)),
            GovernanceError::DuplicateKey { key: key(3), name: "v3".into() },
        ),
        (
            Change::AddValidator(Validator { name: "new".into(), key: unusable }),
            GovernanceError::UnusableKey(unusable),
        ),
        (Change::RemoveValidator(key(9)), GovernanceError::UnknownValidator(key(9))),
        limit(Limits { transaction_bytes: 1, ..Limits::default() }),
        limit(Limits { body_bytes: 1, ..Limits::default() }),
        limit(Limits { expiry_heights: 0, ..Limits::default() }),
        limit(Limits { minimum_validators: 5, ..Limits::default() }),
    ] {
        assert_eq!(propose(&mut Ledger::new(4), 0, change), Err(refusal));
    }
    let refused = propose(&mut Ledger::new(1), 0, Change::RemoveValidator(key(0)));
    assert_eq!(refused, Err(GovernanceError::TooFewValidators { left: 0, minimum: 1 }));
}

#[test]
fn those_in_good_standing_must_still_make_a_quorum() {
    let mut ledger = Ledger::new(4);
    suspend_now(&mut ledger, 3);
    let refused = propose(&mut ledger, 0, Change::RemoveValidator(secret(2).public()));
    assert_eq!(refused, Err(GovernanceError::QuorumLost { active: 2, quorum: 3 }));
    propose(&mut ledger, 0, Change::RemoveValidator(secret(3).public())).unwrap();
    propose(&mut ledger, 0, Change::AddValidator(validator(9))).unwrap();
}

#[test]
fn a_set_has_no_more_validators_than_masks_have_bits() {
    let mut ledger = Ledger::new(1);
    let many = (0..MAX_VALIDATORS as u64).map(|number| {
        let mut seed = [77; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Validator { name: format!("n{number}"), key: SecretKey::from_seed(seed).public() }
    });
    let mut set = ValidatorSet::new(std::iter::once(validator(0)).chain(many), FaultBound::Third);
    set.members.truncate(MAX_VALIDATORS);
    let mut view = ledger.state.view();
    write_set(&mut view, &set);
    let changes = view.into_changes();
    ledger.state.apply(changes);
    let refused = propose(&mut ledger, 0, Change::AddValidator(validator(9)));
    assert_eq!(refused, Err(GovernanceError::TooManyValidators));
}

#[test]
fn only_validators_in_good_standing_take_part() {
    let mut ledger = Ledger::new(4);
    let id = propose(&mut ledger, 0, Change::AddValidator(validator(9))).unwrap();
    suspend_now(&mut ledger, 3);
    for (who, refusal) in [
        (3, GovernanceError::Suspended(secret(3).public())),
        (9, GovernanceError::NotValidator(secret(9).public())),
        (100, GovernanceError::NotValidator(secret(100).public())),
    ] {
        assert_eq!(propose(&mut ledger, who, Change::AddValidator(validator(8))), Err(refusal.clone()));
        assert_eq!(approve(&mut ledger, who, id), Err(refusal.clone()));
        assert_eq!(ledger.run::<Governance>(&secret(who), &Payload::Resume), Err(refusal));
    }
}

#[test]
fn approvals_that_break_a_rule_are_refused() {
    let mut ledger = Ledger::new(4);
    let unknown = Hash([5; 32]);
    assert_eq!(approve(&mut ledger, 1, unknown), Err(GovernanceError::UnknownProposal(unknown)));
    let id = propose(&mut ledger, 0, Change::RemoveValidator(secret(3).public())).unwrap();
    let author = secret(0).public();
    assert_eq!(approve(&mut ledger, 0, id), Err(GovernanceError::AlreadyApproved(author)));
    let other = propose(&mut ledger, 1, Change::RemoveValidator(secret(3).public())).unwrap();
    approve(&mut ledger, 1, id).unwrap();
    approve(&mut ledger, 3, id).unwrap();
    let refused = approve(&mut ledger, 2, id);
    assert_eq!(refused, Err(GovernanceError::AlreadyDecided { proposal: id, effective: 3 }));
    let refused = approve(&mut ledger, 2, other);
    assert_eq!(
        refused,
        Err(GovernanceError::UnknownValidator(secret(3).public())),
        "its removal is approved"
    );
}

#[test]
fn approvals_of_the_suspended_do_not_count() {
    let mut ledger = Ledger::new(4);
    let id = propose(&mut ledger, 3, Change::RemoveValidator(secret(3).public())).unwrap();
    suspend_now(&mut ledger, 3);
    approve(&mut ledger, 0, id).unwrap();
    approve(&mut ledger, 1, id).unwrap();
    assert_eq!(effective(&ledger, &id), None);
    approve(&mut ledger, 2, id).unwrap();
    assert_eq!(effective(&ledger, &id), Some(3));
}

#[test]
fn approvals_are_counted_anew_when_the_quorum_changes() {
    let mut ledger = Ledger::new(7);
    let waiting = propose(&mut ledger, 0, Change::AddValidator(validator(9))).unwrap();
    (1..4).for_each(|by| {
        approve(&mut ledger, by, waiting).unwrap();
    });
    pass(&mut ledger, &[1, 2, 3, 4], Change::RemoveValidator(secret(6).public()));
    pass(&mut ledger, &[1, 2, 3, 4], Change::RemoveValidator(secret(5).public()));
    ledger.end_height();
    assert_eq!(effective(&ledger, &waiting), None);
    ledger.end_height();
    assert_eq!(validator_set(&ledger.state.view()).quorum(), 4);
    assert_eq!(effective(&ledger, &waiting), Some(4));
}

#[test]
fn changes_of_one_height_are_made_in_the_order_of_approval() {
    let mut ledger = Ledger::new(4);
    for number in 10..30 {
        pass(&mut ledger, &[1, 2], Change::AddValidator(validator(number)));
    }
    ledger.end_height();
    ledger.end_height();
    let expected: Vec<String> = (0..4).chain(10..30).map(|number| format!("v{number}")).collect();
    assert_eq!(names(&ledger.state), expected);
}

#[test]
fn a_proposal_expires() {
    let mut ledger = Ledger::new(4);
    let open = propose(&mut ledger, 0, Change::AddValidator(validator(9))).unwrap();
    let passed = pass(&mut ledger, &[1, 2], Change::AddValidator(validator(8)));
    ledger.height = 1 + EXPIRY_HEIGHTS;
    assert_eq!(proposals(&ledger.state.view()).count(), 2);
    ledger.check::<Governance>(&secret(1), &Payload::Approve { proposal: open }).unwrap();
    ledger.end_height();
    for id in [open, passed] {
        assert_eq!(approve(&mut ledger, 1, id), Err(GovernanceError::UnknownProposal(id)));
    }
    let view = ledger.state.view();
    assert_eq!([PROPOSALS, EXPIRIES, OPEN].map(|table| view.prefix(table.as_bytes()).count()), [0, 0, 0]);
}

#[test]
fn a_validator_has_a_bounded_number_of_open_proposals() {
    let mut ledger = Ledger::new(4);
    let add = |number| Change::AddValidator(validator(number));
    let first = propose(&mut ledger, 0, add(50)).unwrap();
    for _ in 1..MAX_OPEN_PROPOSALS {
        propose(&mut ledger, 0, add(51)).unwrap();
    }
    let full = Err(GovernanceError::TooManyProposals(secret(0).public()));
    assert_eq!(propose(&mut ledger, 0, add(52)), full);
    propose(&mut ledger, 1, add(52)).unwrap();
    approve(&mut ledger, 1, first).unwrap();
    approve(&mut ledger, 2, first).unwrap();
    propose(&mut ledger, 0, add(53)).unwrap();
    assert_eq!(propose(&mut ledger, 0, add(54)), full);
}

#[test]
fn a_validator_returns_to_the_rotation_by_its_own_word() {
    let mut ledger = Ledger::new(4);
    let late = secret(2);
    let resume = |ledger: &mut Ledger| ledger.run::<Governance>(&late, &Payload::Resume);
    assert_eq!(resume(&mut ledger), Err(GovernanceError::Resume(ResumeError::NotAbsent)));
    let mut view = ledger.state.view();
    Rotation::end_turn(&late.public(), ledger.height, true, &mut view);
    let changes = view.into_changes();
    ledger.state.apply(changes);
    assert_eq!(resume(&mut ledger), Err(GovernanceError::Resume(ResumeError::TooEarly(2))));
    ledger.end_height();
    assert!(Rotation::read(&ledger.state.view()).is_absent(&late.public()));
    resume(&mut ledger).unwrap();
    assert!(!Rotation::read(&ledger.state.view()).is_absent(&late.public()));
}

#[test]
fn validators_and_registered_senders_are_known() {
    let ledger = Ledger::new(2);
    let known =
        [0, 1, 2, 100].map(|number| Governance::knows(&secret(number).public(), &ledger.state.view()));
    assert_eq!(known, [true, true, false, true]);
}

#[test]
fn payloads_read_back() {
    for payload in [
        Payload::Propose { change: Change::AddValidator(validator(1)) },
        Payload::Propose { change: Change::RemoveValidator(secret(1).public()) },
        Payload::Propose { change: Change::SetLimits(Limits::default()) },
        Payload::Approve { proposal: Hash([1; 32]) },
        Payload::Resume,
    ] {
        let bytes = crate::codec::encode(&payload);
        assert_eq!(crate::codec::decode(&bytes, 1 << 10), Ok(payload));
    }
}
