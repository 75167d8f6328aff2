//! The search for a number that gives an input the hash that is wanted.
//!
//! All but the last block of the input is the same for every number and is hashed once: the midstate. Each attempt then
//! costs one compression (two, where the end of the input leaves no room for the padding), by the processor's own SHA
//! instructions where it has them.

use sha2::block_api::compress256;

const BLOCK: usize = 64;
/// The state of SHA-256 before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// `SHA-256(prefix ‖ number)` for many numbers of 64 bits, big-endian.
#[derive(Clone, Debug)]
pub struct Search {
    /// The midstate: after the whole blocks before the number.
    state: [u32; 8],
    /// The rest of the input with the padding: one block, or two.
    tail: Vec<[u8; BLOCK]>,
    /// Where the number is in the tail.
    offset: usize,
}

impl Search {
    /// A search over what follows `prefix`.
    pub fn new(prefix: &[u8]) -> Self {
        let (whole, rest) = prefix.as_chunks::<BLOCK>();
        let mut state = INITIAL;
        compress256(&mut state, whole);
        // FIPS 180-4, section 5.1.1: a one bit, zeros, and the length in bits.
        let mut tail = rest.to_vec();
        tail.extend_from_slice(&[0; 8]);
        tail.push(0x80);
        let length = 8 * (prefix.len() as u64 + 8);
        tail.resize((tail.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        tail.extend_from_slice(&length.to_be_bytes());
        let tail = tail.as_chunks::<BLOCK>().0.to_vec();
        Self { state, tail, offset: rest.len() }
    }

    /// The hash for one number, as the words of the digest.
    #[inline]
    pub fn digest(&mut self, number: u64) -> [u32; 8] {
        self.tail.as_flattened_mut()[self.offset..self.offset + 8].copy_from_slice(&number.to_be_bytes());
        let mut state = self.state;
        compress256(&mut state, &self.tail);
        state
    }

    /// The first among `count` numbers from `start` on whose hash is `wanted`.
    #[inline]
    pub fn find(&mut self, start: u64, count: u64, wanted: impl Fn(&[u32; 8]) -> bool) -> Option<u64> {
        (0..count).map(|step| start.wrapping_add(step)).find(|number| wanted(&self.digest(*number)))
    }

    /// Compressions that each attempt costs.
    pub fn compressions(&self) -> usize {
        self.tail.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    proptest! {
        #[test]
        fn it_hashes_what_the_whole_input_hashes_to(prefix in proptest::collection::vec(any::<u8>(), 0..300), number: u64) {
            let digest: [u8; 32] =
                Sha256::new().chain_update(&prefix).chain_update(number.to_be_bytes()).finalize().into();
            let words: Vec<u8> =
                Search::new(&prefix).digest(number).iter().flat_map(|word| word.to_be_bytes()).collect();
            prop_assert_eq!(words, digest.to_vec());
        }
    }
}
