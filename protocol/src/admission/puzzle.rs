//! The work itself: find a number so that a hash begins with zeros.
//!
//! ```text
//! SHA-256(domain tag ‖ network id ‖ verifier's peer id ‖ prover's peer id ‖ nonce ‖ solution)
//! ```
//! Nonce and solution are 64-bit numbers, big-endian. A peer id is a multihash and says its own length, so no two
//! puzzles have the same bytes. How a solution is searched for: [`search`].

use crate::peer::Peer;
use conclave_ledger::{
    hash::{Hash, NetworkId},
    proof_of_work::search,
};
use sha2::{Digest, Sha256};

/// Most bits that a puzzle can ask for.
pub const MAX_BITS: u8 = 48;

/// What work is done for: work for one is none for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To be admitted.
    Admission,
    /// To answer for the addresses that one gives.
    Peers,
}

impl Purpose {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Admission => b"conclave/admission/1",
            Self::Peers => b"conclave/peers/1",
        }
    }
}

/// Work that one node asks of another; bound to both, so that it can be neither sold nor shown twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Puzzle {
    /// What for.
    pub purpose: Purpose,
    /// The network.
    pub network: NetworkId,
    /// Who asks for the work.
    pub verifier: Peer,
    /// Who does it.
    pub prover: Peer,
    /// The verifier's random number.
    pub nonce: u64,
    /// Zero bits that the hash has to begin with; the expected work is two to this power.
    pub bits: u8,
}

impl Puzzle {
    fn prefix(&self) -> Vec<u8> {
        let nonce = self.nonce.to_be_bytes();
        let parts =
            [self.purpose.tag(), &self.network.0, self.verifier.as_bytes(), self.prover.as_bytes(), &nonce];
        parts.concat()
    }

    /// Whether `solution` solves it.
    pub fn is_solved_by(&self, solution: u64) -> bool {
        let digest =
            Sha256::new().chain_update(self.prefix()).chain_update(solution.to_be_bytes()).finalize();
        Hash(digest.into()).leading_zero_bits() >= u32::from(self.bits)
    }

    /// The search for a solution.
    pub fn search(&self) -> Search {
        Search { search: search::Search::new(&self.prefix()), bits: u32::from(self.bits) }
    }
}

/// A search for a solution.
#[derive(Clone, Debug)]
pub struct Search {
    search: search::Search,
    bits: u32,
}

impl Search {
    /// The first solution among `count` numbers from `start` on.
    pub fn attempt(&mut self, start: u64, count: u64) -> Option<u64> {
        let bits = self.bits;
        self.search.find(start, count, |digest| has_zeros(digest, bits))
    }
}

fn has_zeros(digest: &[u32; 8], bits: u32) -> bool {
    let first = u64::from(digest[0]) << 32 | u64::from(digest[1]);
    first.leading_zeros() >= bits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn puzzle() -> impl Strategy<Value = Puzzle> {
        let peer = || proptest::collection::vec(any::<u8>(), 0..=Peer::MAX_BYTES);
        let purpose = prop_oneof![Just(Purpose::Admission), Just(Purpose::Peers)];
        (purpose, any::<[u8; 32]>(), peer(), peer(), any::<u64>(), 0u8..14).prop_map(
            |(purpose, network, verifier, prover, nonce, bits)| Puzzle {
                purpose,
                network: Hash(network),
                verifier: Peer::from_bytes(&verifier).unwrap(),
                prover: Peer::from_bytes(&prover).unwrap(),
                nonce,
                bits,
            },
        )
    }

    proptest! {
        /// The search hashes what the check hashes, whatever the lengths: it accepts the same solutions.
        #[test]
        fn search_and_check_agree(puzzle in puzzle(), start in any::<u64>()) {
            let mut search = puzzle.search();
            for solution in (0..64).map(|step| start.wrapping_add(step)) {
                prop_assert_eq!(search.attempt(solution, 1).is_some(), puzzle.is_solved_by(solution));
            }
            if let Some(found) = search.attempt(start, 1 << 16) {
                prop_assert!(puzzle.is_solved_by(found));
            }
        }
    }

    fn example() -> Puzzle {
        let peer = |number: u8| Peer::from_bytes(&[number; 38]).unwrap();
        let (purpose, network) = (Purpose::Admission, Hash([7; 32]));
        Puzzle { purpose, network, verifier: peer(1), prover: peer(2), nonce: 3, bits: 12 }
    }

    #[test]
    fn the_hash_is_that_of_the_page() {
        let solution = example().search().attempt(0, 1 << 20).unwrap();
        let mut input = b"conclave/admission/1".to_vec();
        input.extend([7; 32].iter().chain(&[1; 38]).chain(&[2; 38]));
        input.extend(3u64.to_be_bytes().iter().chain(&solution.to_be_bytes()));
        let digest: [u8; 32] = Sha256::digest(&input).into();
        assert_eq!((digest[0], digest[1] & 0xf0), (0, 0));
    }

    #[test]
    fn work_holds_for_nothing_else() {
        let puzzle = example();
        let solution = puzzle.search().attempt(0, 1 << 20).unwrap();
        let other = Peer::from_bytes(&[9; 38]).unwrap();
        for (what, changed) in [
            ("another purpose", Puzzle { purpose: Purpose::Peers, ..puzzle }),
            ("another network", Puzzle { network: Hash([8; 32]), ..puzzle }),
            ("another verifier", Puzzle { verifier: other, ..puzzle }),
            ("another prover", Puzzle { prover: other, ..puzzle }),
            ("the other way round", Puzzle { verifier: puzzle.prover, prover: puzzle.verifier, ..puzzle }),
            ("another nonce", Puzzle { nonce: 4, ..puzzle }),
        ] {
            assert!(!changed.is_solved_by(solution), "{what}");
        }
    }
}
