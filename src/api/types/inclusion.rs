//! Proof that a transaction is decided, to keep and to check without any node.
//!
//! ```text
//! transaction ──leaf, path──► header.transactions ──header──► block hash ◄──signatures── validators ◄── genesis
//! ```
//! The validators of the block's height have to be known from elsewhere: they are those of the genesis file for as
//! long as governance has not changed the set. After that, whoever checks brings the set of that height, as
//! `verify` on an export of the chain gives it; the set that the node states is a convenience, never trusted.

use super::schema;
use conclave_ledger::{
    block::Header,
    bytes::Bytes,
    codec,
    genesis::Genesis,
    hash::Hash,
    merkle,
    proof::{Proof, ProofError},
    signed::Value,
    transaction::Transaction,
    validators::{Validator, ValidatorSet},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Proof that a transaction is in a decided block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionProof {
    /// The transaction's id.
    #[schema(value_type = schema::Hex32)]
    pub id: Hash,
    /// The transaction, to be read.
    #[schema(value_type = schema::Transaction)]
    pub transaction: Transaction,
    /// The same as canonical CBOR, which is what the leaf is the hash of.
    #[schema(value_type = schema::Bytes)]
    pub bytes: Bytes,
    /// The way from the leaf to the root.
    pub inclusion: InclusionPath,
    /// The block's header, whose hash was decided.
    #[schema(value_type = schema::Header)]
    pub header: Header,
    /// The signatures on the decision.
    #[schema(value_type = schema::Proof)]
    pub proof: Proof,
    /// The validators of the height as this node knows them, in the order of their index; absent if it no longer
    /// does. Those who check use their own.
    #[schema(value_type = Option<Vec<schema::Validator>>)]
    pub validators: Option<Vec<Validator>>,
}

/// A path in the Merkle tree of RFC 6962.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionPath {
    /// The leaf's number, from 0.
    pub index: u64,
    /// The number of leaves.
    pub leaves: u64,
    /// The siblings from the leaf to the root, lowest first.
    #[schema(value_type = Vec<schema::Hex32>)]
    pub path: Vec<Hash>,
}

impl From<merkle::InclusionProof> for InclusionPath {
    fn from(proof: merkle::InclusionProof) -> Self {
        Self { index: proof.index, leaves: proof.leaves, path: proof.path.into_iter().map(Hash).collect() }
    }
}

/// What is wrong with a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// For another network.
    #[error("the proof is for network {found}, the genesis file defines {expected}")]
    Network {
        /// Network of the proof.
        found: Hash,
        /// Network of the genesis file.
        expected: Hash,
    },
    /// The bytes are not those of the transaction.
    #[error("`bytes` is not the canonical form of `transaction`")]
    Bytes,
    /// The id is not that of the transaction.
    #[error("the id is {found}, the transaction's is {expected}")]
    Id {
        /// Id of the proof.
        found: Hash,
        /// Id of the transaction.
        expected: Hash,
    },
    /// The transaction was not signed by its sender.
    #[error("the transaction's signature is not that of its sender")]
    Signature,
    /// The transaction is not shown to be in the block.
    #[error("`inclusion`: {0}")]
    Inclusion(#[from] merkle::ProofError),
    /// The block is not shown to be decided.
    #[error(
        "`proof`: {0}. If the validators have changed since the genesis file, give the set of height {1}, as \
         checking an export of the chain shows it"
    )]
    Decision(ProofError, u64),
}

impl TransactionProof {
    /// Checks that the transaction is decided in the network of `genesis`. `set` is the validator set of the
    /// block's height where that is no longer the one of the genesis file; it has to come from a checked chain.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, genesis: &Genesis, set: Option<&ValidatorSet>) -> Result<(), InclusionError> {
        let network = genesis.network_id();
        for found in [self.header.network, self.transaction.request.network] {
            if found != network {
                return Err(InclusionError::Network { found, expected: network });
            }
        }
        if self.bytes.0 != codec::encode(&self.transaction) {
            return Err(InclusionError::Bytes);
        }
        let id = self.transaction.id();
        if self.id != id {
            return Err(InclusionError::Id { found: self.id, expected: id });
        }
        if !self.transaction.verify_signature(&id) {
            return Err(InclusionError::Signature);
        }
        let path = merkle::InclusionProof {
            index: self.inclusion.index,
            leaves: self.inclusion.leaves,
            path: self.inclusion.path.iter().map(|hash| hash.0).collect(),
        };
        path.verify(merkle::leaf_hash(&self.bytes.0), self.header.transactions.0)?;
        let of_genesis;
        let set = match set {
            Some(set) => set,
            None => {
                of_genesis = genesis.validator_set();
                &of_genesis
            }
        };
        let (height, value) = (self.header.height, Value::Block(self.header.hash()));
        self.proof
            .verify(network, height, &value, set)
            .map_err(|error| InclusionError::Decision(error, height))
    }
}
