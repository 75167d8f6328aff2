//! What does not change during an exploration: who is who, which rules they keep, and what anybody has to say.

use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Header},
    bytes::Bytes,
    hash::{BlockHash, Hash},
    keys::{SecretKey, Signature},
    signed::{Height, Kind, SignatureSet, Slot, Value},
    transaction::Request,
    validators::{FaultBound, Validator, ValidatorIndex, ValidatorSet},
};
use conclave_protocol::{
    consensus::{Config, Verdict},
    peer::Peer,
    rules::{Rule, Rules},
    time::Time,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Δ in microseconds. Only its halves, quarters and eighths matter.
pub(crate) const DELTA: u64 = 64;

/// A window in microseconds.
pub(crate) const WINDOW: u64 = 2 * DELTA;

/// The height under examination. The one before it is what a node stands at before its start.
pub(crate) const HEIGHT: Height = 2;

const NETWORK: Hash = Hash([9; 32]);

/// The leader of the height.
pub(crate) const LEADER: u8 = 0;

/// Who takes part, and as what.
pub(crate) struct Game {
    pub(crate) validators: u8,
    pub(crate) faulty: u16,
    /// The one that signs and says what it likes, if there is one.
    pub(crate) liar: Option<u8>,
    pub(crate) rules: Rules,
    /// What the ledger says of the blocks: an honest leader builds the first, a faulty one has them all.
    pub(crate) verdicts: [Verdict; 2],
    pub(crate) blocks: [Arc<Block>; 2],
    signatures: BTreeMap<(u8, Kind, Value), Signature>,
}

pub(crate) const GOOD: Verdict = Verdict { valid: true, timely: true };

impl Game {
    pub(crate) fn new(validators: u8, faulty: u16, liar: Option<u8>) -> Self {
        let blocks = [block(0), block(1)];
        let mut signatures = BTreeMap::new();
        let slot = Slot { network: NETWORK, height: HEIGHT };
        let values = [Value::Skip, Value::Block(blocks[0].hash()), Value::Block(blocks[1].hash())];
        for signer in 0..validators {
            for kind in [
                Kind::Vote,
                Kind::Endorse,
                Kind::RelayCertificate,
                Kind::RelaySupport,
                Kind::Commit,
                Kind::Settle,
            ] {
                for value in values {
                    signatures.insert((signer, kind, value), slot.sign(&key(signer), kind, &value));
                }
            }
        }
        Self { validators, faulty, liar, rules: Rules::default(), verdicts: [GOOD; 2], blocks, signatures }
    }

    /// The same game, with other verdicts of the ledger on the two blocks.
    pub(crate) fn with_verdicts(self, verdicts: [Verdict; 2]) -> Self {
        Self { verdicts, ..self }
    }

    /// The same game, played by mutants.
    pub(crate) fn without(self, rule: Rule) -> Self {
        Self { rules: Rules::without(rule), ..self }
    }

    pub(crate) fn config(&self, node: u8) -> Config {
        Config {
            network: NETWORK,
            delta: Duration::from_micros(DELTA),
            fast: true,
            key: Some(key(node)),
            rules: self.rules,
        }
    }

    pub(crate) fn set(&self) -> Arc<ValidatorSet> {
        let validators =
            (0..self.validators).map(|n| Validator { name: format!("v{n}"), key: key(n).public() });
        Arc::new(ValidatorSet::new(validators, FaultBound::Exactly(self.faulty)))
    }

    pub(crate) fn honest(&self) -> impl Iterator<Item = u8> + use<> {
        let liar = self.liar;
        (0..self.validators).filter(move |node| Some(*node) != liar)
    }

    /// `q` by the definition of the consensus page, not by the code.
    pub(crate) fn quorum(&self) -> usize {
        let (n, f) = (usize::from(self.validators), usize::from(self.faulty));
        if 3 * f < n { n - f } else { (n + f) / 2 + 1 }
    }

    /// `n − q + 1`.
    pub(crate) fn support(&self) -> usize {
        usize::from(self.validators) + 1 - self.quorum()
    }

    /// The end of the last window, after a node's start.
    pub(crate) fn last_window(&self) -> u64 {
        (u64::from(self.faulty) + 3) * WINDOW
    }

    pub(crate) fn value(&self, block: usize) -> Value {
        Value::Block(self.blocks[block].hash())
    }

    /// Which of the blocks has this hash.
    pub(crate) fn number(&self, hash: &BlockHash) -> Option<usize> {
        self.blocks.iter().position(|block| block.hash() == *hash)
    }

    pub(crate) fn sign(&self, signer: u8, kind: Kind, value: Value) -> Signature {
        self.signatures[&(signer, kind, value)]
    }

    pub(crate) fn signatures(&self, kind: Kind, value: Value, signers: &[u8]) -> SignatureSet {
        let sign = |signer: &u8| (ValidatorIndex::from(*signer), self.sign(*signer, kind, value));
        signers.iter().map(sign).collect()
    }

    /// A value for people.
    pub(crate) fn name(&self, value: &Value) -> &'static str {
        match value.block().and_then(|hash| self.number(&hash)) {
            None => "skip",
            Some(0) => "block A",
            Some(_) => "block B",
        }
    }
}

pub(crate) fn key(index: u8) -> SecretKey {
    SecretKey::from_seed([index + 1; 32])
}

pub(crate) fn peer(index: u8) -> Peer {
    Peer::from_bytes(&[index]).unwrap()
}

/// The validator behind a peer.
pub(crate) fn index(peer: &Peer) -> u8 {
    peer.as_bytes()[0]
}

/// A moment of the game on the machines' clock. The nodes have been connected for `Δ` when it begins: what they open
/// from then on they open in time.
pub(crate) fn time(micros: u64) -> Time {
    Time(DELTA + micros)
}

fn block(number: u8) -> Arc<Block> {
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(vec![number]) });
    let sender = key(LEADER);
    let request = Request { network: NETWORK, sender: sender.public(), expires: 9, payload };
    let header = Header {
        network: NETWORK,
        height: HEIGHT,
        parent: Hash::ZERO,
        leader: sender.public(),
        timestamp: u64::from(number),
        state: Hash::ZERO,
        proofs: Hash::ZERO,
        transactions: Hash::ZERO,
        work: None,
    };
    Arc::new(Block { header, proofs: Vec::new(), transactions: vec![request.sign(&sender).into()] })
}
