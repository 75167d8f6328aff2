//! What frames, records and proofs say, read from their bytes (see `docs/formats.md`).

use super::cbor::Item;
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(super) type Hash = [u8; 32];

/// What a height can decide: a block's hash, or nothing for a skip.
pub(super) type Value = Option<Hash>;

/// The kinds of signatures, by the number that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Vote = 1,
    Endorse = 2,
    RelayCertificate = 3,
    RelaySupport = 4,
    Commit = 5,
    Settle = 6,
}

/// A signature as somebody shows it; whether it holds is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) height: u64,
    pub(super) kind: Kind,
    pub(super) value: Value,
    pub(super) signer: usize,
    pub(super) signature: [u8; 64],
}

/// A decided height.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) height: u64,
    pub(super) hash: Hash,
    pub(super) parent: Hash,
    pub(super) value: Value,
    pub(super) transactions: Vec<Transaction>,
}

/// A transaction of a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transaction {
    pub(super) id: Hash,
    pub(super) sender: [u8; 32],
    pub(super) signature: [u8; 64],
    /// Whether people send it; otherwise a validator does of its own accord.
    pub(super) is_record: bool,
    /// Whom it accuses, if it is evidence, and of which height.
    pub(super) accuses: Option<([u8; 32], u64)>,
}

/// SHA-256 of a domain, a zero byte, and the content.
pub(super) fn hash(domain: &str, content: &[u8]) -> Hash {
    Sha256::new_with_prefix(domain).chain_update([0]).chain_update(content).finalize().into()
}

/// Signatures of a set: a mask, and the signatures in the order of its bits.
fn signatures(set: &Item<'_>) -> Option<Vec<(usize, [u8; 64])>> {
    let mask = set.field("signers")?.bytes()?;
    let signers = (0..mask.len() * 8).filter(|bit| mask[bit / 8] & (1 << (bit % 8)) != 0);
    let (signatures, _) = set.field("signatures")?.bytes()?.as_chunks::<64>();
    Some(signers.zip(signatures.iter().copied()).collect())
}

fn value(item: &Item<'_>) -> Option<Value> {
    match item.variant()? {
        ("skip", None) => Some(None),
        ("block", Some(hash)) => Some(Some(hash.array()?)),
        _ => None,
    }
}

fn shown(height: u64, kind: Kind, value: Value, set: &Item<'_>) -> Option<Vec<Shown>> {
    let all = signatures(set)?.into_iter();
    Some(all.map(|(signer, signature)| Shown { height, kind, value, signer, signature }).collect())
}

/// A frame of the consensus protocol.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The signatures that it shows.
    pub(super) shown: Vec<Shown>,
    /// Whether it is of a kind that networks in plain mode do not have: there it is refused, whatever it holds.
    pub(super) is_of_fast_mode: bool,
}

/// What a frame holds; nothing for what is no frame of the consensus protocol.
pub(super) fn frame(bytes: &[u8]) -> Frame {
    let Some(item) = Item::read(bytes) else { return Frame::default() };
    let is_of_fast_mode = item.variant().is_some_and(|(name, _)| matches!(name, "certificate" | "support"));
    Frame { shown: message(&item).unwrap_or_default(), is_of_fast_mode }
}

fn message(item: &Item<'_>) -> Option<Vec<Shown>> {
    let (name, content) = item.variant()?;
    let content = content?;
    let height = || content.field("height")?.number();
    let set = |field: &str, kind: Kind, of: Value| shown(height()?, kind, of, content.field(field)?);
    match name {
        "chain" => {
            let block = Some(content.field("block")?.array()?);
            let votes = set("votes", Kind::Vote, block)?;
            Some([votes, set("endorsements", Kind::Endorse, block)?].concat())
        }
        "skip" => set("votes", Kind::Vote, None),
        "certificate" => {
            let of = value(content.field("value")?)?;
            Some([set("votes", Kind::Vote, of)?, set("relays", Kind::RelayCertificate, of)?].concat())
        }
        "support" => {
            let block = Some(content.field("block")?.array()?);
            Some([set("votes", Kind::Vote, block)?, set("relays", Kind::RelaySupport, block)?].concat())
        }
        "settle" => set("settles", Kind::Settle, value(content.field("value")?)?),
        "commit" => set("commits", Kind::Commit, value(content.field("value")?)?),
        _ => None,
    }
}

/// The signature in a record of a log, if it holds one.
pub(super) fn logged(bytes: &[u8]) -> Option<[u8; 64]> {
    let item = Item::read(bytes)?;
    let (name, content) = item.variant()?;
    if name != "signed" {
        return None;
    }
    content?.field("signature")?.array()
}

/// The signatures of a proof, of a decision on this value.
pub(super) fn proof(bytes: &[u8], height: u64, value: Value) -> Option<(bool, Vec<Shown>)> {
    let item = Item::read(bytes)?;
    let (name, set) = item.variant()?;
    let is_certificate = name == "certificate";
    let kind = if is_certificate { Kind::Vote } else { Kind::Commit };
    Some((is_certificate, shown(height, kind, value, set?)?))
}

/// A decided height.
pub(super) fn record(bytes: &[u8]) -> Option<Record> {
    let item = Item::read(bytes)?;
    let (name, content) = item.variant()?;
    let content = content?;
    match name {
        "skip" => Some(Record {
            height: content.field("height")?.number()?,
            hash: hash("conclave/skip/1", content.raw),
            parent: content.field("parent")?.array()?,
            value: None,
            transactions: Vec::new(),
        }),
        "block" => {
            let header = content.field("header")?;
            let hash = hash("conclave/block/1", header.raw);
            let transactions = content.field("transactions")?.items().iter();
            Some(Record {
                height: header.field("height")?.number()?,
                hash,
                parent: header.field("parent")?.array()?,
                value: Some(hash),
                transactions: transactions.map(transaction).collect::<Option<_>>()?,
            })
        }
        _ => None,
    }
}

/// What the header of a mined block says of its time and its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) timestamp: u64,
    /// In Bitcoin's compact form.
    target: u32,
}

/// Reads the work of a decided block; nothing for one that was not mined.
pub(super) fn work(bytes: &[u8]) -> Option<Work> {
    let item = Item::read(bytes)?;
    let (_, content) = item.variant()?;
    let header = content?.field("header")?;
    let target = header.field("work")?.field("target")?.number()?;
    Some(Work { timestamp: header.field("timestamp")?.number()?, target: target.try_into().ok()? })
}

impl Work {
    /// Whether the hash, a big-endian number, is no larger than the target, and that begins with so many zero bits.
    pub(super) fn is_done(&self, hash: &Hash, easiest_bits: u8) -> bool {
        // The first byte says how many bytes the number has, the others are the highest three of them.
        let (length, mantissa) = ((self.target >> 24) as usize, self.target & 0x7f_ffff);
        let mut target = Hash::default();
        for (place, byte) in mantissa.to_be_bytes()[1..].iter().enumerate() {
            match (32 + place).checked_sub(length) {
                Some(at) if at < 32 => target[at] = *byte,
                _ if *byte == 0 => {}
                _ => return false,
            }
        }
        let zeros = target.iter().position(|byte| *byte != 0);
        let bits = zeros.map_or(256, |at| at * 8 + target[at].leading_zeros() as usize);
        bits >= usize::from(easiest_bits) && *hash <= target
    }
}

fn transaction(item: &Item<'_>) -> Option<Transaction> {
    let request = item.field("request")?;
    let (application, payload) = request.field("payload")?.variant()?;
    let accuses = match application {
        "evidence" => {
            let evidence = payload?;
            Some((evidence.field("offender")?.array()?, evidence.field("height")?.number()?))
        }
        _ => None,
    };
    Some(Transaction {
        id: hash("conclave/transaction/1", request.raw),
        sender: request.field("sender")?.array()?,
        signature: item.field("signature")?.array()?,
        is_record: application == "record",
        accuses,
    })
}
