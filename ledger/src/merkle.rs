//! The Merkle tree of RFC 6962, section 2.1, and its inclusion proofs.
//!
//! A block commits to its transactions by the root of this tree, so that a voter can keep a proof of a few
//! hundred bytes that the ballot is in the block, and check it with nothing but the block's header.
//!
//! ```text
//! leaf(d)        = SHA-256(0x00 ‖ d)
//! node(l, r)     = SHA-256(0x01 ‖ l ‖ r)
//! root([])       = SHA-256("")
//! root([h])      = h                                    h a leaf hash
//! root(h[0..n])  = node(root(h[0..k]), root(h[k..n]))   k the largest power of two below n
//! ```
//!
//! The two prefixes keep a node from being passed off as a leaf. The tree is built level by level: neighbours
//! are joined, a node left over at the end of a level moves up as it is. This gives the RFC's tree.
//!
//! What a proof proves: that a leaf is under the root. The root does not hold the number of leaves, so the
//! fields `index` and `leaves` say *where* only to a reader who knows the number of leaves from elsewhere
//! (in Certificate Transparency it is in the signed tree head). What no reader is ever led to believe is that
//! a leaf is in the tree when it is not.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Prefix of what is hashed for a leaf (RFC 6962, section 2.1).
const LEAF_PREFIX: [u8; 1] = [0x00];
/// Prefix of what is hashed for an inner node (RFC 6962, section 2.1).
const NODE_PREFIX: [u8; 1] = [0x01];

/// The hash of a leaf: SHA-256(0x00 ‖ `data`).
pub fn leaf_hash(data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(LEAF_PREFIX).chain_update(data).finalize().into()
}

/// The root over `leaf_hashes`, in their order; SHA-256 of nothing when there is none.
pub fn root(leaf_hashes: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaf_hashes.to_vec();
    while level.len() > 1 {
        level = parents(&level);
    }
    level.first().copied().unwrap_or_else(|| Sha256::digest([]).into())
}

/// The proof that leaf number `index` (from 0) is in the tree over `leaf_hashes`; none if there is no such
/// leaf.
pub fn prove(leaf_hashes: &[[u8; 32]], index: u64) -> Option<InclusionProof> {
    let mut position = usize::try_from(index).ok().filter(|position| *position < leaf_hashes.len())?;
    let mut path = Vec::new();
    let mut level = leaf_hashes.to_vec();
    while level.len() > 1 {
        path.extend(level.get(position ^ 1));
        position /= 2;
        level = parents(&level);
    }
    Some(InclusionProof { index, leaves: leaf_hashes.len() as u64, path })
}

/// Proof that a leaf is under a root (RFC 9162, section 2.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The leaf's number, from 0.
    pub index: u64,
    /// The number of leaves in the tree.
    pub leaves: u64,
    /// The siblings on the way from the leaf to the root, lowest first: at most 64.
    pub path: Vec<[u8; 32]>,
}

impl InclusionProof {
    /// Checks that the leaf with `leaf_hash` is under `root`, by the algorithm of RFC 9162, section 2.1.3.2.
    pub fn verify(&self, leaf_hash: [u8; 32], root: [u8; 32]) -> Result<(), ProofError> {
        if self.index >= self.leaves {
            return Err(ProofError::NoSuchLeaf { index: self.index, leaves: self.leaves });
        }
        // The RFC's fn and sn: the numbers of this node, and of the last one, on the level reached so far.
        let (mut node, mut last) = (self.index, self.leaves - 1);
        let mut hash = leaf_hash;
        for sibling in &self.path {
            if last == 0 {
                return Err(ProofError::PathTooLong { length: self.path.len() });
            }
            if node & 1 == 1 || node == last {
                hash = node_hash(sibling, &hash);
                // A last node without a neighbour moved up as it is: skip the levels where it had none.
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(ProofError::PathTooShort { length: self.path.len() });
        }
        if hash != root {
            return Err(ProofError::WrongRoot);
        }
        Ok(())
    }
}

/// Why an inclusion proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof is for a leaf that a tree of its size does not have.
    #[error("the proof is for leaf {index} (counted from 0), but says that there are only {leaves} leaves")]
    NoSuchLeaf {
        /// The leaf's number, from 0.
        index: u64,
        /// The number of leaves the proof states.
        leaves: u64,
    },
    /// The path has more hashes than a tree of its size has levels.
    #[error("the proof's path of {length} hashes is too long for its leaf and number of leaves")]
    PathTooLong {
        /// The path's length.
        length: usize,
    },
    /// The path ends below the root.
    #[error("the proof's path of {length} hashes is too short for its leaf and number of leaves")]
    PathTooShort {
        /// The path's length.
        length: usize,
    },
    /// The path leads to another root: the leaf, the proof or the root is not the right one.
    #[error("the proof leads to another root: the leaf is not shown to be in this tree")]
    WrongRoot,
}

/// The next level up: neighbours joined, a node left over kept as it is.
fn parents(level: &[[u8; 32]]) -> Vec<[u8; 32]> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node_hash(left, right),
            alone => alone[0],
        })
        .collect()
}

fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(NODE_PREFIX).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn leaves(count: u64) -> Vec<[u8; 32]> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962, section 2.1, word by word, without the functions above.
    fn root_as_defined(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest(b"").into(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let mut text = vec![1];
                text.extend(root_as_defined(&leaves[..split]));
                text.extend(root_as_defined(&leaves[split..]));
                Sha256::digest(text).into()
            }
        }
    }

    /// The roots over the first 0 to 8 leaves in the reference test of Certificate Transparency.
    #[test]
    fn certificate_transparency_vectors() {
        let data = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let hashes: Vec<_> = data.iter().map(|data| leaf_hash(&hex(data))).collect();
        for (count, expected) in roots.iter().enumerate() {
            assert_eq!(root(&hashes[..count]).to_vec(), hex(expected), "{count} leaves");
        }
    }

    #[test]
    fn every_leaf_of_every_size_is_proved() {
        for count in 0..=40 {
            let hashes = leaves(count);
            let root = root(&hashes);
            assert_eq!(root, root_as_defined(&hashes), "{count} leaves");
            for index in 0..count {
                let proof = prove(&hashes, index).unwrap();
                assert!(proof.path.len() as u32 <= u64::BITS - count.leading_zeros());
                proof.verify(hashes[index as usize], root).unwrap();
                for other in (0..count).filter(|other| *other != index) {
                    assert!(
                        proof.verify(hashes[other as usize], root).is_err(),
                        "{other} shown by {index} of {count}"
                    );
                    let moved = InclusionProof { index: other, ..proof.clone() };
                    assert!(
                        moved.verify(hashes[index as usize], root).is_err(),
                        "{index} of {count} moved to {other}"
                    );
                }
            }
            assert_eq!(prove(&hashes, count), None);
        }
        assert_eq!(prove(&leaves(3), u64::MAX), None);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        for count in 1..=17 {
            let hashes = leaves(count);
            let root = root(&hashes);
            for index in 0..count {
                let proof = prove(&hashes, index).unwrap();
                let leaf = hashes[index as usize];
                for bit in 0..256 {
                    let flip = |mut hash: [u8; 32]| {
                        hash[bit / 8] ^= 1 << (bit % 8);
                        hash
                    };
                    assert_eq!(proof.verify(flip(leaf), root), Err(ProofError::WrongRoot));
                    assert_eq!(proof.verify(leaf, flip(root)), Err(ProofError::WrongRoot));
                    for step in 0..proof.path.len() {
                        let mut tampered = proof.clone();
                        tampered.path[step] = flip(tampered.path[step]);
                        assert_eq!(tampered.verify(leaf, root), Err(ProofError::WrongRoot));
                    }
                }
                for bit in 0..64 {
                    let tampered = InclusionProof { index: index ^ (1 << bit), ..proof.clone() };
                    assert!(tampered.verify(leaf, root).is_err(), "index bit {bit}, {index} of {count}");
                }
            }
        }
    }

    /// Another number of leaves may fit the same path: then the leaf is in the tree all the same, and no
    /// other is.
    #[test]
    fn another_number_of_leaves_never_proves_another_leaf() {
        let hashes = leaves(7);
        let root = root(&hashes);
        let proof = prove(&hashes, 2).unwrap();
        for (index, leaves) in (0..40).flat_map(|leaves| (0..40).map(move |index| (index, leaves))) {
            let other = InclusionProof { index, leaves, path: proof.path.clone() };
            for (number, leaf) in hashes.iter().enumerate() {
                assert!(number == 2 || other.verify(*leaf, root).is_err(), "{number} by {index} of {leaves}");
            }
        }
    }

    #[test]
    fn paths_of_the_wrong_length_are_refused() {
        for count in 1..=40 {
            let hashes = leaves(count);
            let root = root(&hashes);
            for index in 0..count {
                let proof = prove(&hashes, index).unwrap();
                let leaf = hashes[index as usize];
                let length = proof.path.len();
                for extra in 1..70 {
                    let mut long = proof.clone();
                    long.path.extend(std::iter::repeat_n(root, extra));
                    let expected = Err(ProofError::PathTooLong { length: length + extra });
                    assert_eq!(long.verify(leaf, root), expected);
                }
                for kept in 0..length {
                    let mut short = proof.clone();
                    short.path.truncate(kept);
                    assert_eq!(short.verify(leaf, root), Err(ProofError::PathTooShort { length: kept }));
                }
            }
        }
        let none = InclusionProof { index: 0, leaves: 0, path: vec![] };
        assert_eq!(none.verify([0; 32], root(&[])), Err(ProofError::NoSuchLeaf { index: 0, leaves: 0 }));
        let huge = InclusionProof { index: u64::MAX - 1, leaves: u64::MAX, path: vec![[0; 32]; 64] };
        assert!(huge.verify([0; 32], [0; 32]).is_err());
    }

    #[test]
    fn a_node_is_not_a_leaf() {
        let hashes = leaves(2);
        let joined = [hashes[0], hashes[1]].concat();
        assert_ne!(root(&hashes), leaf_hash(&joined));
    }
}
