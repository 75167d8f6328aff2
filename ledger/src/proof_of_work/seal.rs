//! What a header carries as its proof of work, and how it is found.

use super::{search::Search, target::CompactTarget};
use crate::block::Header;
use serde::{Deserialize, Serialize};

crate::bytes::byte_string!(
    /// What is varied until the hash meets the target: big-endian, of fixed length, so that the headers of a search differ
    /// in their last eight bytes only.
    Nonce, 8
);

/// A header's proof of work. It stands last in the header, with the nonce as its last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The target of the height.
    pub target: CompactTarget,
    /// What makes the hash meet it.
    pub nonce: Nonce,
}

/// The search for a header's nonce.
#[derive(Clone, Debug)]
pub struct SealSearch {
    search: Search,
    target: [u32; 8],
}

impl SealSearch {
    /// The search for the nonce of a header with a seal; `None` if it has none, or its target is none.
    pub fn new(header: &Header) -> Option<Self> {
        let target = header.work?.target.target()?.words();
        let mut bytes = header.hashed_bytes();
        bytes.truncate(bytes.len() - Nonce::LENGTH);
        Some(Self { search: Search::new(&bytes), target })
    }

    /// The first nonce among `count` from `start` on with which the hash meets the target.
    pub fn find(&mut self, start: u64, count: u64) -> Option<u64> {
        let target = self.target;
        self.search.find(start, count, |digest| *digest <= target)
    }

    /// Compressions of SHA-256 that each attempt costs.
    pub fn compressions(&self) -> usize {
        self.search.compressions()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{hash::Hash, keys::PublicKey};

    fn header(height: u64) -> Header {
        Header {
            network: Hash([1; 32]),
            height,
            parent: Hash([2; 32]),
            leader: PublicKey([3; 32]),
            timestamp: 1_700_000_000_000,
            state: Hash([4; 32]),
            proofs: Hash([5; 32]),
            transactions: Hash([6; 32]),
            work: Some(Seal { target: CompactTarget(0x1f00_ffff), nonce: Nonce([0; 8]) }),
        }
    }

    #[test]
    fn what_is_found_meets_the_target_at_one_compression_for_each_attempt() {
        for height in [1, 200, 60_000, 4_000_000_000] {
            let mut header = header(height);
            let mut search = SealSearch::new(&header).unwrap();
            assert_eq!(search.compressions(), 1, "height {height}");
            let nonce = search.find(7, 1 << 24).unwrap();
            let seal = header.work.as_mut().unwrap();
            seal.nonce = Nonce(nonce.to_be_bytes());
            let target = seal.target.target().unwrap();
            assert!(target.is_met_by(&header.hash()));
            assert_eq!(header.hash().leading_zero_bits() / 16, 1);
        }
    }

    #[test]
    fn without_a_target_there_is_nothing_to_search() {
        let mut header = header(1);
        header.work.as_mut().unwrap().target = CompactTarget(0);
        assert!(SealSearch::new(&header).is_none());
        header.work = None;
        assert!(SealSearch::new(&header).is_none());
    }
}
