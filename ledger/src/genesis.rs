//! The genesis file: what defines a network. Its canonical hash is the network id, which every signature carries.

use crate::{
    applications::records,
    codec,
    hash::{Hash, NetworkId},
    keys::PublicKey,
    proof_of_work,
    validators::{FaultBound, MAX_NAME_BYTES, MAX_VALIDATORS, Validator, ValidatorSet},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Version of the genesis file and of every format that hangs on it.
pub const FORMAT: u32 = 1;

/// Which protocol decides the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// A fixed, governed validator set; final once decided.
    #[default]
    DolevStrong,
    /// Anyone may mine; the branch with the most work is the chain.
    ProofOfWork,
}

/// Bounds that every node of the network applies alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest canonical transaction, in bytes (default 64 KiB).
    pub transaction_bytes: u32,
    /// Largest sum of the canonical transactions of one block, in bytes (default 4 MiB).
    pub body_bytes: u32,
    /// How many heights ahead a transaction may expire at most (default 1,000); its id is remembered that long.
    pub expiry_heights: u64,
    /// Fewest validators that governance may leave (default 1).
    pub minimum_validators: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { transaction_bytes: 64 << 10, body_bytes: 4 << 20, expiry_heights: 1000, minimum_validators: 1 }
    }
}

/// A limit that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limits.{field}: {rule}")]
pub struct LimitError {
    /// Which of the [`Limits`].
    pub field: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl Limits {
    /// Checks that a network of `validators` members can work with these limits.
    ///
    /// # Errors
    /// The first limit that cannot work.
    pub fn check(&self, validators: usize) -> Result<(), LimitError> {
        let broken = [
            (
                "transaction_bytes",
                !(1 << 10..=1 << 20).contains(&self.transaction_bytes),
                "a transaction may take 1 KiB to 1 MiB",
            ),
            (
                "body_bytes",
                self.body_bytes < self.transaction_bytes || self.body_bytes > 64 << 20,
                "a body holds at least one transaction and at most 64 MiB",
            ),
            (
                "expiry_heights",
                !(1..=1_000_000).contains(&self.expiry_heights),
                "transactions expire 1 to 1,000,000 heights ahead",
            ),
            (
                "minimum_validators",
                self.minimum_validators == 0 || usize::from(self.minimum_validators) > validators,
                "the minimum is at least 1 and at most the number of validators",
            ),
        ];
        match broken.into_iter().find(|(_, is_broken, _)| *is_broken) {
            Some((field, _, rule)) => Err(LimitError { field, rule }),
            None => Ok(()),
        }
    }
}

/// What a network begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the network, for people.
    pub name: String,
    /// Which protocol decides (default `dolev-strong`).
    #[serde(default)]
    pub engine: Engine,
    /// Whether heights may finish by certificate (default), or only by textbook Dolev–Strong.
    #[serde(default = "yes")]
    pub fast: bool,
    /// `f`, as a number or a rule (default `third`).
    #[serde(default = "third")]
    pub faulty: FaultBound,
    /// Δ in milliseconds: bounds, between two honest nodes, the delivery of a message and of the block it names. Where
    /// work decides nothing rests on it but how long an answer is waited for.
    pub delta_ms: u64,
    /// When the network was defined, in milliseconds since 1970; the first block is later than that.
    pub created_ms: u64,
    /// Leading zero bits of the stamp that senders unknown to the ledger put on a transaction (default 16).
    #[serde(default = "sixteen")]
    pub stamp_bits: u8,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// What proofs of work are asked for, under that engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_of_work: Option<proof_of_work::Parameters>,
    /// Who decides, in the order that gives the first leaders; nobody by name where work decides.
    #[serde(default)]
    pub validators: Vec<Validator>,
    /// Initial ledger: keys that may send without a stamp.
    #[serde(default)]
    pub senders: Vec<PublicKey>,
    /// Initial ledger: records that are on the log from the start.
    #[serde(default)]
    pub records: Vec<records::Record>,
}

fn yes() -> bool {
    true
}
fn third() -> FaultBound {
    FaultBound::Third
}
fn sixteen() -> u8 {
    16
}

/// A rule that a genesis file breaks. `field` is where, in the notation of its TOML form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct GenesisError {
    /// Path of the field, such as `validators[2].key`.
    pub field: String,
    /// What is wrong and what to do.
    pub rule: GenesisRule,
}

/// The rules of a genesis file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisRule {
    /// A version that this program does not read.
    #[error("format {0} is not known to this version, which reads format {FORMAT}")]
    Format(u32),
    /// The network's or a validator's name is empty, too long or has control characters.
    #[error("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
    /// Δ is out of range.
    #[error("the delay bound is 1 to 3,600,000 milliseconds, found {0}")]
    Delta(u64),
    /// The time is in a year of five digits or more.
    #[error("the time is given in milliseconds since 1970 and before the year 10,000, found {0}")]
    Created(u64),
    /// No validator, or too many.
    #[error("a network has 1 to {MAX_VALIDATORS} validators, found {0}")]
    Validators(usize),
    /// Two validators of one name.
    #[error("the name {0:?} is already that of validators[{1}]; each validator needs its own")]
    DuplicateName(String, usize),
    /// Two validators with one key.
    #[error("the key is already that of validators[{0}]; each validator needs its own")]
    DuplicateKey(usize),
    /// A key under which nothing can verify.
    #[error("the key is not an Ed25519 public key; print a validator's with `conclave key show`")]
    UnusableKey,
    /// `f` is not below `n`.
    #[error(
        "{faulty} faulty of {validators} validators: at least one must be honest, so give {validators} − 1 or less"
    )]
    Faulty {
        /// f as given.
        faulty: u16,
        /// n.
        validators: usize,
    },
    /// A limit that cannot work.
    #[error("{0}")]
    Limit(&'static str),
    /// A field of the other engine.
    #[error("{0}")]
    Engine(&'static str),
    /// An initial record that the ledger would refuse.
    #[error("{0}")]
    Record(records::RecordError),
}

impl Genesis {
    /// Largest Δ, in milliseconds: an hour.
    pub const MAX_DELTA_MS: u64 = 3_600_000;

    /// Latest time at which a network is defined, in milliseconds since 1970: the end of the year 9999. Every block's
    /// timestamp is larger than the one before, so there must be room behind it.
    pub const MAX_CREATED_MS: u64 = 253_402_300_799_999;

    /// SHA-256 of the canonical form.
    pub fn network_id(&self) -> NetworkId {
        Hash::of("conclave/genesis/1", &[&codec::encode(self)])
    }

    /// The validators of height 1.
    pub fn validator_set(&self) -> ValidatorSet {
        ValidatorSet::new(self.validators.iter().cloned(), self.faulty)
    }

    /// Checks every rule; the first that is broken is named with its field.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn check(&self) -> Result<(), GenesisError> {
        let fail = |field: String, rule| Err(GenesisError { field, rule });
        if self.format != FORMAT {
            return fail("format".into(), GenesisRule::Format(self.format));
        }
        if !valid_name(&self.name) {
            return fail("name".into(), GenesisRule::Name);
        }
        if !(1..=Self::MAX_DELTA_MS).contains(&self.delta_ms) {
            return fail("delta_ms".into(), GenesisRule::Delta(self.delta_ms));
        }
        if self.created_ms > Self::MAX_CREATED_MS {
            return fail("created_ms".into(), GenesisRule::Created(self.created_ms));
        }
        self.check_engine()?;
        for (index, validator) in self.validators.iter().enumerate() {
            let before = &self.validators[..index];
            if !valid_name(&validator.name) {
                return fail(format!("validators[{index}].name"), GenesisRule::Name);
            }
            if let Some(first) = before.iter().position(|other| other.name == validator.name) {
                let rule = GenesisRule::DuplicateName(validator.name.clone(), first);
                return fail(format!("validators[{index}].name"), rule);
            }
            if let Some(first) = before.iter().position(|other| other.key == validator.key) {
                return fail(format!("validators[{index}].key"), GenesisRule::DuplicateKey(first));
            }
            if !validator.key.is_usable() {
                return fail(format!("validators[{index}].key"), GenesisRule::UnusableKey);
            }
        }
        match self.faulty {
            FaultBound::Exactly(faulty) if usize::from(faulty) >= self.validators.len().max(1) => {
                return fail(
                    "faulty".into(),
                    GenesisRule::Faulty { faulty, validators: self.validators.len() },
                );
            }
            _ => {}
        }
        self.check_limits()?;
        let distinct: BTreeSet<_> = self.senders.iter().collect();
        if distinct.len() != self.senders.len() {
            return fail("senders".into(), GenesisRule::Limit("a key is listed twice"));
        }
        for (index, record) in self.records.iter().enumerate() {
            record.check().map_err(|rule| GenesisError {
                field: format!("records[{index}]"),
                rule: GenesisRule::Record(rule),
            })?;
        }
        Ok(())
    }

    /// What belongs to the engine is there, and what belongs to the other is not.
    fn check_engine(&self) -> Result<(), GenesisError> {
        let fail = |field: &str, rule| Err(GenesisError { field: field.into(), rule });
        let foreign = |field, rule| fail(field, GenesisRule::Engine(rule));
        match (self.engine, &self.proof_of_work) {
            (Engine::DolevStrong, Some(_)) => foreign(
                "proof_of_work",
                "this belongs to the engine \"proof-of-work\", and validators decide here",
            ),
            (Engine::DolevStrong, None) if !(1..=MAX_VALIDATORS).contains(&self.validators.len()) => {
                fail("validators", GenesisRule::Validators(self.validators.len()))
            }
            (Engine::DolevStrong, None) => Ok(()),
            (Engine::ProofOfWork, None) => {
                foreign("engine", "the section [proof_of_work] is missing; an empty one takes the defaults")
            }
            (Engine::ProofOfWork, Some(_)) if !self.validators.is_empty() => foreign(
                "validators",
                "anyone may mine under the engine \"proof-of-work\": name no validators",
            ),
            (Engine::ProofOfWork, Some(_)) if !self.fast => {
                foreign("fast", "this belongs to the engine \"dolev-strong\": leave it out")
            }
            (Engine::ProofOfWork, Some(_)) if self.faulty != FaultBound::Third => {
                foreign("faulty", "this belongs to the engine \"dolev-strong\": leave it out")
            }
            (Engine::ProofOfWork, Some(parameters)) => parameters.check().map_err(|(field, rule)| {
                GenesisError { field: format!("proof_of_work.{field}"), rule: GenesisRule::Limit(rule) }
            }),
        }
    }

    fn check_limits(&self) -> Result<(), GenesisError> {
        self.limits.check(self.validators.len().max(1)).map_err(|LimitError { field, rule }| {
            GenesisError { field: format!("limits.{field}"), rule: GenesisRule::Limit(rule) }
        })?;
        if self.stamp_bits > 40 {
            let rule = GenesisRule::Limit("a stamp of more than 40 bits takes days");
            return Err(GenesisError { field: "stamp_bits".into(), rule });
        }
        Ok(())
    }
}

/// Whether `name` can name a network or a validator.
pub fn valid_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}
