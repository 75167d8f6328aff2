//! The state hash: a map from keys to values that is summed up by one hash, and cheap to keep up to date.
//!
//! ```text
//! leaf(k, v)     = SHA-256(0x00 ‖ SHA-256(k) ‖ SHA-256(v))
//! inner(b, l, r) = SHA-256(0x01 ‖ b ‖ l ‖ r)               b one byte
//! root           = 32 zero bytes, for the empty map
//! ```
//!
//! **Shape.** A binary radix tree over SHA-256 of the keys, with paths compressed (Morrison's PATRICIA,
//! Journal of the ACM 15(4), 1968): a part of the tree with one key is that key's leaf; one with several is
//! an inner node at the first bit `b` (0 is the highest bit of the first byte) in which they differ, those
//! with a 0 there to the left. So the shape follows from the contents alone, however they came about. Sparse
//! Merkle trees such as the Jellyfish tree of Diem (Gao, Hu, Wu 2021) do the same for a single leaf, but keep
//! inner nodes with an empty side, and hash a placeholder for it; here every inner node has two sides.
//!
//! **Why one root belongs to one map.** The prefixes tell leaves from inner nodes, and all fields have fixed
//! lengths; so, as long as nobody finds two inputs with one SHA-256, the root determines both sides, and on
//! down to the leaves, and a leaf determines its key and its value. The bit `b` is not needed for this. It is
//! there so that a path from the root could also show that a key is *absent*: who follows a key's bits at the
//! positions given either meets the key or knows that it is not there.
//!
//! **Cost.** Updates mark the inner nodes above them, and [`HashTree::root`] hashes the marked ones once, so
//! that the updates of a block share the upper levels. Each key costs one leaf (64 bytes) and one inner node
//! (44 bytes); the depth is at most 256, and about log2 of the number of keys unless somebody spends work on
//! finding keys whose hashes agree.

use sha2::{Digest, Sha256};

/// The root of the empty map.
const EMPTY_ROOT: [u8; 32] = [0; 32];
/// Prefix of what is hashed for a leaf.
const LEAF_PREFIX: [u8; 1] = [0x00];
/// Prefix of what is hashed for an inner node.
const INNER_PREFIX: u8 = 0x01;
/// Slots in one allocation of an [`Arena`]: growth never moves nodes nor doubles the memory.
const CHUNK: usize = 1024;

/// A map with a hash. It holds hashes only, neither keys nor values; see the module's documentation.
///
/// At most 2³¹ keys (which would take 216 GiB).
#[derive(Clone, Debug, Default)]
pub struct HashTree {
    root: Option<Child>,
    leaves: Arena<Leaf>,
    inner: Arena<Inner>,
}

#[derive(Clone, Debug)]
struct Leaf {
    key_hash: [u8; 32],
    hash: [u8; 32],
}

#[derive(Clone, Debug)]
struct Inner {
    /// Valid unless `dirty`.
    hash: [u8; 32],
    children: [Child; 2],
    /// The first bit in which the keys below differ.
    bit: u8,
    /// Something below has changed since `hash` was computed; then all inner nodes above are dirty too.
    dirty: bool,
}

/// Where a node lies: its slot in the arena of leaves or of inner nodes, with the highest bit saying which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Child(u32);

enum Node {
    Leaf(u32),
    Inner(u32),
}

impl Child {
    const INNER: u32 = 1 << 31;

    fn leaf(slot: u32) -> Self {
        Self(slot)
    }

    fn inner(slot: u32) -> Self {
        Self(slot | Self::INNER)
    }

    fn node(self) -> Node {
        if self.0 & Self::INNER == 0 { Node::Leaf(self.0) } else { Node::Inner(self.0 & !Self::INNER) }
    }
}

impl HashTree {
    /// Sets the value of `key`, whether or not it had one.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        let key_hash = Sha256::digest(key).into();
        let value_hash = Sha256::digest(value);
        let hash = Sha256::new().chain_update(LEAF_PREFIX).chain_update(key_hash).chain_update(value_hash);
        self.insert_leaf(Leaf { key_hash, hash: hash.finalize().into() });
    }

    /// Removes `key`; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.remove_leaf(&Sha256::digest(key).into())
    }

    /// The hash of the whole map. Costs one SHA-256 for each inner node above a change since the last call.
    pub fn root(&mut self) -> [u8; 32] {
        self.root.map_or(EMPTY_ROOT, |root| self.hash_of(root))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    fn insert_leaf(&mut self, leaf: Leaf) {
        let Some(nearest) = self.nearest_leaf(&leaf.key_hash) else {
            self.root = Some(Child::leaf(self.leaves.insert(leaf)));
            return;
        };
        let found = self.leaves.get_mut(nearest);
        if found.hash == leaf.hash {
            return;
        }
        let Some(bit) = first_difference(&found.key_hash, &leaf.key_hash) else {
            found.hash = leaf.hash;
            self.mark_above(&leaf.key_hash, None);
            return;
        };
        let key_hash = leaf.key_hash;
        let added = Child::leaf(self.leaves.insert(leaf));
        let parent = self.mark_above(&key_hash, Some(bit));
        let below = self.child_of(parent, &key_hash).expect("a leaf was found, so the tree has a root");
        let children = if bit_of(&key_hash, bit) == 0 { [added, below] } else { [below, added] };
        let inner = Inner { hash: EMPTY_ROOT, children, bit, dirty: true };
        let inner = Child::inner(self.inner.insert(inner));
        self.set_child(parent, &key_hash, inner);
    }

    fn remove_leaf(&mut self, key_hash: &[u8; 32]) -> bool {
        let Some(slot) = self.nearest_leaf(key_hash) else { return false };
        if self.leaves.get(slot).key_hash != *key_hash {
            return false;
        }
        self.leaves.release(slot);
        match self.mark_above(key_hash, None) {
            None => self.root = None,
            Some(parent) => {
                let Inner { bit, children, .. } = *self.inner.get(parent);
                let sibling = children[1 - bit_of(key_hash, bit)];
                let grandparent = self.mark_above(key_hash, Some(bit));
                self.set_child(grandparent, key_hash, sibling);
                self.inner.release(parent);
            }
        }
        true
    }

    /// The leaf that following the bits of `key_hash` leads to: its own, if it is in the tree.
    fn nearest_leaf(&self, key_hash: &[u8; 32]) -> Option<u32> {
        let mut child = self.root?;
        loop {
            match child.node() {
                Node::Leaf(slot) => return Some(slot),
                Node::Inner(slot) => {
                    let inner = self.inner.get(slot);
                    child = inner.children[bit_of(key_hash, inner.bit)];
                }
            }
        }
    }

    /// Marks the inner nodes on the way of `key_hash`, down to a leaf or to the first one whose bit is not
    /// before `end`. Gives the last one marked; none if that would be above the root.
    fn mark_above(&mut self, key_hash: &[u8; 32], end: Option<u8>) -> Option<u32> {
        let mut child = self.root?;
        let mut marked = None;
        while let Node::Inner(slot) = child.node() {
            let inner = self.inner.get_mut(slot);
            if end.is_some_and(|end| inner.bit >= end) {
                break;
            }
            inner.dirty = true;
            marked = Some(slot);
            child = inner.children[bit_of(key_hash, inner.bit)];
        }
        marked
    }

    /// What is below `parent` (none: the root itself) on the way of `key_hash`.
    fn child_of(&self, parent: Option<u32>, key_hash: &[u8; 32]) -> Option<Child> {
        let Some(parent) = parent else { return self.root };
        let inner = self.inner.get(parent);
        Some(inner.children[bit_of(key_hash, inner.bit)])
    }

    fn set_child(&mut self, parent: Option<u32>, key_hash: &[u8; 32], child: Child) {
        let Some(parent) = parent else {
            self.root = Some(child);
            return;
        };
        let inner = self.inner.get_mut(parent);
        inner.children[bit_of(key_hash, inner.bit)] = child;
    }

    /// Recursion: bits increase downwards, so at most 256 deep.
    fn hash_of(&mut self, child: Child) -> [u8; 32] {
        let slot = match child.node() {
            Node::Leaf(slot) => return self.leaves.get(slot).hash,
            Node::Inner(slot) => slot,
        };
        let Inner { hash, children: [left, right], bit, dirty } = *self.inner.get(slot);
        if !dirty {
            return hash;
        }
        let (left, right) = (self.hash_of(left), self.hash_of(right));
        let hash = Sha256::new().chain_update([INNER_PREFIX, bit]).chain_update(left).chain_update(right);
        let inner = self.inner.get_mut(slot);
        inner.hash = hash.finalize().into();
        inner.dirty = false;
        inner.hash
    }
}

/// Bit number `bit` of `hash`, where 0 is the highest bit of the first byte.
fn bit_of(hash: &[u8; 32], bit: u8) -> usize {
    usize::from(hash[usize::from(bit / 8)] >> (7 - bit % 8) & 1)
}

/// The number of the first bit in which the two differ; none if they are equal.
fn first_difference(left: &[u8; 32], right: &[u8; 32]) -> Option<u8> {
    let byte = (0..32u8).find(|byte| left[usize::from(*byte)] != right[usize::from(*byte)])?;
    let difference = left[usize::from(byte)] ^ right[usize::from(byte)];
    // At most 7, as the difference is not 0.
    Some(byte * 8 + difference.leading_zeros() as u8)
}

/// Nodes in slots that keep their number, with those freed used again first.
#[derive(Clone, Debug)]
struct Arena<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    fn insert(&mut self, node: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            *self.get_mut(slot) = node;
            return slot;
        }
        let slot = self.slots();
        assert!(slot < Child::INNER as usize, "a hash tree holds at most 2^31 keys");
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(node),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(node);
                self.chunks.push(chunk);
            }
        }
        slot as u32
    }

    fn get(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Slots in use.
    fn len(&self) -> usize {
        self.slots() - self.free.len()
    }

    /// Slots in use or free.
    fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        Sha256::digest(parts.concat()).into()
    }

    /// The root as the module's documentation defines it, from the (key hash, leaf hash) pairs of a whole
    /// map.
    fn root_as_defined(leaves: &[([u8; 32], [u8; 32])], bit: usize) -> [u8; 32] {
        match leaves {
            [] => [0; 32],
            [(_, hash)] => *hash,
            _ => {
                let one = |leaf: &&([u8; 32], [u8; 32])| leaf.0[bit / 8] & (0x80 >> (bit % 8)) != 0;
                let left: Vec<_> = leaves.iter().filter(|leaf| !one(leaf)).copied().collect();
                let right: Vec<_> = leaves.iter().filter(one).copied().collect();
                if left.is_empty() || right.is_empty() {
                    return root_as_defined(leaves, bit + 1);
                }
                let (left, right) = (root_as_defined(&left, bit + 1), root_as_defined(&right, bit + 1));
                sha256(&[&[1, u8::try_from(bit).unwrap()], &left, &right])
            }
        }
    }

    fn root_of_map(map: &BTreeMap<Vec<u8>, Vec<u8>>) -> [u8; 32] {
        let leaf = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            let key_hash = sha256(&[key]);
            (key_hash, sha256(&[&[0], &key_hash, &sha256(&[value])]))
        };
        root_as_defined(&map.iter().map(leaf).collect::<Vec<_>>(), 0)
    }

    fn built(map: &BTreeMap<Vec<u8>, Vec<u8>>) -> HashTree {
        let mut tree = HashTree::default();
        map.iter().for_each(|(key, value)| tree.insert(key, value));
        tree
    }

    /// No node is lost or left over: the slots in use are those that can be reached.
    fn assert_no_slot_is_lost(tree: &HashTree) {
        assert_eq!(tree.inner.len(), tree.len().saturating_sub(1));
        let mut reached = 0;
        let mut open: Vec<_> = tree.root.into_iter().collect();
        while let Some(child) = open.pop() {
            match child.node() {
                Node::Leaf(_) => reached += 1,
                Node::Inner(slot) => open.extend(tree.inner.get(slot).children),
            }
        }
        assert_eq!(reached, tree.len());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        Remove(u8),
        Root,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..60u8, 0..4u8).prop_map(|(key, value)| Step::Insert(key, value)),
            3 => (0..60u8).prop_map(Step::Remove),
            1 => Just(Step::Root),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition_at_every_time(steps in prop::collection::vec(step(), 0..300)) {
            let mut tree = HashTree::default();
            let mut map = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        tree.insert(&[key], &[value]);
                        map.insert(vec![key], vec![value]);
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(tree.remove(&[key]), map.remove([key].as_slice()).is_some());
                    }
                    Step::Root => prop_assert_eq!(tree.root(), root_of_map(&map)),
                }
                prop_assert_eq!(tree.len(), map.len());
                prop_assert_eq!(tree.is_empty(), map.is_empty());
            }
            prop_assert_eq!(tree.root(), root_of_map(&map));
            prop_assert_eq!(tree.root(), built(&map).root());
            assert_no_slot_is_lost(&tree);
        }

        #[test]
        fn the_order_of_insertion_does_not_matter(keys in prop::collection::btree_set(any::<u16>(), 0..200)
            .prop_flat_map(|keys| Just(keys.into_iter().collect::<Vec<_>>()).prop_shuffle()))
        {
            let map = keys.iter().map(|key| (key.to_be_bytes().to_vec(), vec![1])).collect();
            let mut tree = HashTree::default();
            keys.iter().for_each(|key| tree.insert(&key.to_be_bytes(), &[1]));
            prop_assert_eq!(tree.root(), root_of_map(&map));
        }
    }

    #[test]
    fn removed_is_as_if_never_inserted() {
        let mut tree = HashTree::default();
        (0..500u32).for_each(|key| tree.insert(&key.to_be_bytes(), b"kept"));
        let before = tree.root();
        (500..700u32).for_each(|key| tree.insert(&key.to_be_bytes(), b"passing"));
        assert_ne!(tree.root(), before);
        (500..700u32).for_each(|key| assert!(tree.remove(&key.to_be_bytes())));
        assert_eq!(tree.root(), before);
        (500..700u32).for_each(|key| assert!(!tree.remove(&key.to_be_bytes())));
        (0..500u32).for_each(|key| assert!(tree.remove(&key.to_be_bytes())));
        assert_eq!(tree.root(), [0; 32]);
        assert!(tree.is_empty());
    }

    #[test]
    fn different_small_maps_have_different_roots() {
        let keys: [&[u8]; 5] = [b"", b"a", b"b", b"ab", &[0]];
        let values: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"a"), Some(b"b")];
        let mut roots = BTreeSet::new();
        let maps = values.len().pow(keys.len() as u32);
        for number in 0..maps {
            let mut tree = HashTree::default();
            for (place, key) in keys.iter().enumerate() {
                if let Some(value) = values[number / values.len().pow(place as u32) % values.len()] {
                    tree.insert(key, value);
                }
            }
            roots.insert(tree.root());
        }
        assert_eq!(roots.len(), maps);
    }

    #[test]
    fn freed_slots_are_used_again() {
        let mut tree = HashTree::default();
        for round in 0..20u32 {
            (0..3_000u32).for_each(|key| tree.insert(&(key + round).to_be_bytes(), &round.to_be_bytes()));
            assert_no_slot_is_lost(&tree);
            (0..3_000u32).for_each(|key| assert!(tree.remove(&(key + round).to_be_bytes())));
        }
        assert_eq!((tree.leaves.slots(), tree.inner.slots()), (3_000, 2_999));
        assert_eq!((tree.leaves.len(), tree.inner.len()), (0, 0));
    }

    /// Key hashes that agree in as many bits as there are: the deepest tree possible.
    #[test]
    fn the_deepest_tree_has_256_levels() {
        let single_bit = |bit: usize| {
            let mut key_hash = [0; 32];
            key_hash[bit / 8] = 0x80 >> (bit % 8);
            key_hash
        };
        let keys: Vec<[u8; 32]> = (0..256).map(single_bit).chain([[0; 32]]).collect();
        let mut tree = HashTree::default();
        for key_hash in keys.iter().rev() {
            tree.insert_leaf(Leaf { key_hash: *key_hash, hash: sha256(&[key_hash]) });
        }
        let pairs: Vec<_> = keys.iter().map(|key| (*key, sha256(&[key]))).collect();
        assert_eq!(tree.root(), root_as_defined(&pairs, 0));
        for (removed, key_hash) in keys.iter().enumerate() {
            assert!(tree.remove_leaf(key_hash));
            assert_eq!(tree.root(), root_as_defined(&pairs[removed + 1..], 0));
        }
    }

    #[test]
    fn only_nodes_above_a_change_are_hashed_again() {
        let mut tree = HashTree::default();
        (0..1_000u32).for_each(|key| tree.insert(&key.to_be_bytes(), b"value"));
        let dirty = |tree: &HashTree| tree.inner.chunks.iter().flatten().filter(|inner| inner.dirty).count();
        assert_eq!(dirty(&tree), 999);
        tree.root();
        assert_eq!(dirty(&tree), 0);
        tree.insert(&7u32.to_be_bytes(), b"value");
        assert_eq!(dirty(&tree), 0, "the value is the one it had");
        tree.insert(&7u32.to_be_bytes(), b"another");
        assert!((1..40).contains(&dirty(&tree)), "{} dirty", dirty(&tree));
    }

    #[test]
    fn a_key_costs_at_most_120_bytes() {
        assert!(size_of::<Leaf>() + size_of::<Inner>() <= 120);
    }
}
