//! What submitters were told, against what an archive holds.
//!
//! A receipt is what the command line prints in JSON when a transaction is decided: its id, and where it is. Whoever
//! keeps receipts can check an export of *any* node against them: each transaction has to be there, once, at the very
//! place that was said. If that holds for the exports of all nodes, then whatever was acknowledged by any of them is
//! in the same order everywhere. A receipt is no proof, only a claim of the node that gave it; a proof is what
//! `conclave tx prove` saves.

use conclave_ledger::{
    block::Decided,
    hash::{Hash, TransactionId},
    signed::Height,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Read};

/// Most receipts that are checked at a time: they are held in memory, some 200 bytes each.
pub const MAX_RECEIPTS: usize = 10_000_000;

/// Where a transaction is, as a node acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Its id.
    pub id: TransactionId,
    /// The block's height.
    pub height: Height,
    /// The block's hash.
    pub block: Hash,
    /// Position in the block, from 0.
    pub index: u32,
}

/// Why receipts cannot be read, or do not agree with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is no receipt.
    #[error("receipt {number} is none: {error}")]
    Malformed {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// There are too many.
    #[error("there are more than {MAX_RECEIPTS} receipts: check them in several runs")]
    TooMany,
    /// One transaction was acknowledged at two places.
    #[error("transaction {id} was acknowledged at height {} and at height {}, or at two places there", .places[0], .places[1])]
    Contradiction {
        /// The transaction.
        id: TransactionId,
        /// The two heights.
        places: [Height; 2],
    },
    /// It was acknowledged and is not there.
    #[error(
        "transaction {id} was acknowledged at height {height} and is not in the archive, whose last height is {tip}"
    )]
    Missing {
        /// The transaction.
        id: TransactionId,
        /// Where it was said to be.
        height: Height,
        /// The archive's last height.
        tip: Height,
    },
    /// It is there more than once.
    #[error("transaction {id} is in the archive twice, at heights {} and {}", .places[0], .places[1])]
    Twice {
        /// The transaction.
        id: TransactionId,
        /// The two heights.
        places: [Height; 2],
    },
    /// It is somewhere else.
    #[error(
        "transaction {id} was acknowledged as number {} of block {} at height {}, and is number {} of block {} at \
         height {}", said.index, said.block, said.height, found.index, found.block, found.height
    )]
    Elsewhere {
        /// The transaction.
        id: TransactionId,
        /// Where it was said to be.
        said: Box<Receipt>,
        /// Where it is.
        found: Box<Receipt>,
    },
}

/// Receipts that agree with each other, waiting for the heights of an archive.
#[derive(Debug, Default)]
pub struct Receipts {
    said: BTreeMap<TransactionId, Receipt>,
    found: BTreeMap<TransactionId, Receipt>,
    twice: Option<(TransactionId, [Height; 2])>,
    tip: Height,
}

impl Receipts {
    /// Adds what `reader` holds: JSON values one after the other, with any white space between them. The same receipt
    /// may come more than once.
    ///
    /// # Errors
    /// When something is no receipt, or contradicts another one.
    pub fn read(&mut self, reader: impl Read) -> Result<(), ReceiptError> {
        let values = serde_json::Deserializer::from_reader(reader).into_iter::<Receipt>();
        for (number, receipt) in values.enumerate() {
            self.add(receipt.map_err(|error| ReceiptError::Malformed { number: number + 1, error })?)?;
        }
        Ok(())
    }

    /// Adds one.
    ///
    /// # Errors
    /// When it contradicts another one, or there are too many.
    pub fn add(&mut self, receipt: Receipt) -> Result<(), ReceiptError> {
        if self.said.len() >= MAX_RECEIPTS {
            return Err(ReceiptError::TooMany);
        }
        let said = self.said.entry(receipt.id).or_insert_with(|| receipt.clone());
        if *said != receipt {
            let places = [said.height, receipt.height];
            return Err(ReceiptError::Contradiction { id: receipt.id, places });
        }
        Ok(())
    }

    /// Number of transactions that were acknowledged.
    pub fn len(&self) -> usize {
        self.said.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Looks for what was acknowledged in the archive's next height.
    pub fn look(&mut self, decided: &Decided) {
        self.tip = decided.height();
        let Decided::Block(block) = decided else { return };
        let (height, hash) = (decided.height(), decided.hash());
        for (index, transaction) in block.transactions.iter().enumerate() {
            let id = transaction.id();
            if !self.said.contains_key(&id) {
                continue;
            }
            let place = Receipt { id, height, block: hash, index: index as u32 };
            if let Some(earlier) = self.found.insert(id, place) {
                self.twice.get_or_insert((id, [earlier.height, height]));
            }
        }
    }

    /// After the last height: whether every transaction is there, once, where it was said to be.
    ///
    /// # Errors
    /// The first that is not.
    pub fn compare(&self) -> Result<(), ReceiptError> {
        if let Some((id, places)) = self.twice {
            return Err(ReceiptError::Twice { id, places });
        }
        for (id, said) in &self.said {
            let Some(found) = self.found.get(id) else {
                return Err(ReceiptError::Missing { id: *id, height: said.height, tip: self.tip });
            };
            if found != said {
                let (said, found) = (Box::new(said.clone()), Box::new(found.clone()));
                return Err(ReceiptError::Elsewhere { id: *id, said, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::archive::{
        replay,
        verify::tests::{Network, genesis, network},
    };
    use std::convert::Infallible;

    /// What an honest node would have acknowledged of everything in the chain.
    fn honest(network: &Network) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        for block in network.decided().iter().filter_map(Decided::block) {
            let (height, hash) = (block.header.height, block.header.hash());
            for (index, transaction) in (0..).zip(&block.transactions) {
                receipts.push(Receipt { id: transaction.id(), height, block: hash, index });
            }
        }
        receipts
    }

    /// What `verify` says of these receipts and an archive that is good by itself.
    fn check(receipts: &[Receipt], archive: &[u8]) -> Result<usize, ReceiptError> {
        let mut checked = Receipts::default();
        // As files: one pretty, as `tx record` prints it, and one with a line each, as `load` writes them.
        let (first, rest) = receipts.split_at(1);
        checked.read(serde_json::to_vec_pretty(&first[0]).unwrap().as_slice())?;
        let lines = rest.iter().map(|receipt| serde_json::to_string(receipt).unwrap() + "\n");
        checked.read(lines.collect::<String>().as_bytes())?;
        replay(
            genesis(),
            archive,
            |_, _| {},
            |decided, _, _| {
                checked.look(decided);
                Ok::<_, Infallible>(())
            },
        )
        .unwrap();
        checked.compare().map(|()| checked.len())
    }

    #[test]
    fn honest_receipts_agree_also_when_kept_twice() {
        let network = network();
        let mut receipts = honest(&network);
        receipts.extend(honest(&network));
        assert_eq!(check(&receipts, &network.archive()).unwrap(), 5);
    }

    #[test]
    fn a_receipt_of_what_never_was_is_refused() {
        let network = network();
        let mut receipts = honest(&network);
        receipts.push(Receipt { id: Hash([9; 32]), ..receipts[0].clone() });
        let error = check(&receipts, &network.archive()).unwrap_err();
        assert!(matches!(error, ReceiptError::Missing { id: Hash([9, ..]), height: 1, tip: 6 }), "{error}");
    }

    #[test]
    fn a_transaction_that_an_export_does_not_have_is_missed() {
        // Both are whole and good: the second is the chain of nodes that never decided what was acknowledged.
        let network = network();
        let receipts = honest(&network);
        assert!(check(&receipts, &network.archive()).is_ok());
        let error = check(&receipts, &network.until(4).archive()).unwrap_err();
        assert!(matches!(error, ReceiptError::Missing { height: 5, tip: 4, .. }), "{error}");
    }

    #[test]
    fn a_receipt_for_another_place_is_refused() {
        let network = network();
        let honest = honest(&network);
        let forgeries: [fn(&mut Receipt); 3] = [
            |receipt| receipt.height += 1,
            |receipt| receipt.index += 1,
            |receipt| receipt.block = Hash([1; 32]),
        ];
        for forge in forgeries {
            for number in 0..honest.len() {
                let mut receipts = honest.clone();
                forge(&mut receipts[number]);
                let error = check(&receipts, &network.archive()).unwrap_err();
                assert!(matches!(error, ReceiptError::Elsewhere { .. }), "{number}: {error}");
            }
        }
    }

    #[test]
    fn two_receipts_that_contradict_each_other_are_refused_before_anything_is_read() {
        let network = network();
        let mut receipts = honest(&network);
        receipts.push(Receipt { height: 2, ..receipts[0].clone() });
        let error = check(&receipts, &network.archive()).unwrap_err();
        assert!(matches!(error, ReceiptError::Contradiction { places: [1, 2], .. }), "{error}");
    }

    #[test]
    fn a_chain_that_has_it_twice_is_refused() {
        let network = network();
        let mut receipts = Receipts::default();
        honest(&network).into_iter().for_each(|receipt| receipts.add(receipt).unwrap());
        network.decided().iter().for_each(|decided| receipts.look(decided));
        receipts.compare().unwrap();
        // No rule of the ledger lets it, and this check does not lean on them.
        receipts.look(&network.decided()[2]);
        assert!(matches!(receipts.compare(), Err(ReceiptError::Twice { places: [3, 3], .. })));
    }

    #[test]
    fn what_is_no_receipt_is_named_by_its_number() {
        let receipt = serde_json::to_string(&honest(&network())[0]).unwrap();
        for second in ["{}", "7", "{\"id\": 1}", "garbage", &receipt[1..]] {
            let error = Receipts::default().read(format!("{receipt}{second}").as_bytes()).unwrap_err();
            assert!(matches!(error, ReceiptError::Malformed { number: 2, .. }), "{second}: {error}");
        }
        // An archive given for the receipts.
        assert!(Receipts::default().read(network().archive().as_slice()).is_err());
    }
}
