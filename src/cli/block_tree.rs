//! `conclave blocks --tree`: the last heights with their branches, as text or as a picture.
//!
//! The chain runs straight; every other branch has a lane beside it, from the block that it forks off to its end.
//!
//! ```text
//!   9  ●      00003fa1  2 transactions  by 5f1c09ab
//!   8  ●      0000110c  1 transaction   by 88e0d2f3
//!   8  │ ○    00009b7e  1 transaction   by 5f1c09ab
//!      ├─╯
//!   7  ●      00002d44  …
//! ```

use crate::api::types::{BlockTree, TreeBlock};
use conclave_ledger::hash::Hash;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Where each block is drawn, and what it hangs on.
struct Layout<'a> {
    /// By height, the chain first.
    rows: BTreeMap<u64, Vec<(usize, &'a TreeBlock)>>,
    lanes: BTreeMap<Hash, usize>,
    /// The blocks by hash.
    blocks: BTreeMap<Hash, &'a TreeBlock>,
    /// Number of lanes.
    width: usize,
}

impl<'a> Layout<'a> {
    fn of(tree: &'a BlockTree) -> Self {
        let blocks: BTreeMap<Hash, &TreeBlock> =
            tree.blocks.iter().map(|block| (block.hash, block)).collect();
        let parents: BTreeSet<Hash> = tree.blocks.iter().map(|block| block.parent).collect();
        let mut lanes: BTreeMap<Hash, usize> =
            tree.blocks.iter().filter(|block| block.on_chain).map(|block| (block.hash, 0)).collect();
        // The heights that are taken in each lane.
        let mut taken: Vec<BTreeSet<u64>> = vec![BTreeSet::new()];
        let mut ends: Vec<&TreeBlock> =
            tree.blocks.iter().filter(|block| !parents.contains(&block.hash)).collect();
        ends.sort_by_key(|end| (std::cmp::Reverse(end.height), end.hash));
        for end in ends {
            let (mut path, mut at) = (Vec::new(), Some(end));
            while let Some(block) = at.filter(|block| !lanes.contains_key(&block.hash)) {
                path.push(block);
                at = blocks.get(&block.parent).copied();
            }
            let Some(first) = path.last() else { continue };
            // One height more, so that its connection has room.
            let heights = first.height.saturating_sub(1)..=end.height;
            let is_free = |lane: &BTreeSet<u64>| lane.range(heights.clone()).next().is_none();
            let lane = match (1..taken.len()).find(|lane| is_free(&taken[*lane])) {
                Some(lane) => lane,
                None => {
                    taken.push(BTreeSet::new());
                    taken.len() - 1
                }
            };
            taken[lane].extend(heights);
            lanes.extend(path.iter().map(|block| (block.hash, lane)));
        }
        let mut rows: BTreeMap<u64, Vec<(usize, &TreeBlock)>> = BTreeMap::new();
        for block in &tree.blocks {
            rows.entry(block.height).or_default().push((lanes[&block.hash], block));
        }
        rows.values_mut().for_each(|row| row.sort_by_key(|(lane, _)| *lane));
        Self { rows, lanes, blocks, width: taken.len() }
    }

    /// Lanes whose line passes the row of `height`, or ends in a block there: those of blocks above it that hang on a lower
    /// one, or on one of this row in their own lane. A branch that hangs on another lane has joined it above the row.
    fn passing(&self, height: u64) -> BTreeSet<usize> {
        let above = self.rows.range(height + 1..).flat_map(|(_, row)| row);
        let passes = above.filter_map(|(lane, block)| {
            let Some(parent) = self.blocks.get(&block.parent) else { return Some(*lane) };
            let beside = self.lanes.get(&block.parent).copied().unwrap_or_default();
            let goes_on = parent.height < height || (parent.height == height && beside == *lane);
            goes_on.then_some(beside.max(*lane))
        });
        passes.chain(self.rows.range(height + 1..).next().map(|_| 0)).collect()
    }
}

fn short(hash: &[u8]) -> String {
    conclave_ledger::bytes::to_hex(&hash[..4])
}

fn label(block: &TreeBlock) -> String {
    let transactions = match block.transactions {
        None => "header only".to_owned(),
        Some(1) => "1 transaction".to_owned(),
        Some(count) => format!("{count} transactions"),
    };
    format!("{}  {transactions:<16}  by {}", short(&block.hash.0), short(&block.miner.0))
}

/// The tree as text, the newest at the top.
pub(super) fn text(tree: &BlockTree) -> String {
    let layout = Layout::of(tree);
    let mut text = String::new();
    for (height, row) in layout.rows.iter().rev() {
        for (lane, block) in row {
            let passing = layout.passing(*height);
            let cells = (0..layout.width).map(|column| match column {
                column if column == *lane && block.on_chain => "●",
                column if column == *lane => "○",
                // What stands in the same row of blocks is above or below this line.
                column
                    if passing.contains(&column)
                        || row.iter().any(|(other, _)| *other == column && column < *lane) =>
                {
                    "│"
                }
                _ => " ",
            });
            let cells: Vec<&str> = cells.collect();
            let _ = writeln!(text, "{height:>7}  {}   {}", cells.join(" "), label(block));
        }
        // Branches that hang on a block of the next row.
        for (lane, block) in row {
            let Some(parent) = layout.lanes.get(&block.parent).filter(|parent| *parent != lane) else {
                continue;
            };
            let (left, right) = (*parent.min(lane), *parent.max(lane));
            let cells = (0..layout.width).map(|column| match column {
                column if column == left => "├─",
                column if column == right => "╯ ",
                column if column > left && column < right => "──",
                0 => "│ ",
                _ => "  ",
            });
            let _ = writeln!(text, "         {}", cells.collect::<String>().trim_end());
        }
    }
    text
}

const COLUMN: usize = 92;
const LANE: usize = 54;
const MARGIN: usize = 60;

/// The tree as an SVG, the newest at the right.
pub(super) fn svg(tree: &BlockTree) -> String {
    let layout = Layout::of(tree);
    let lowest = layout.rows.keys().next().copied().unwrap_or(0);
    let highest = layout.rows.keys().next_back().copied().unwrap_or(0);
    let x = |height: u64| MARGIN + (height - lowest) as usize * COLUMN;
    let y = |lane: usize| MARGIN + lane * LANE;
    let (width, height) = (x(highest) + MARGIN, y(layout.width.saturating_sub(1)) + MARGIN);
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for block in &tree.blocks {
        let (to_x, to_y) = (x(block.height), y(layout.lanes[&block.hash]));
        if let Some(parent) = layout.blocks.get(&block.parent) {
            let (from_x, from_y) = (x(parent.height), y(layout.lanes[&parent.hash]));
            let color = if block.on_chain { "#357" } else { "#a55" };
            let middle = from_x + COLUMN / 2;
            let _ = writeln!(
                page,
                "<path d=\"M{from_x},{from_y} C{middle},{from_y} {middle},{to_y} {to_x},{to_y}\" fill=\"none\" \
                 stroke=\"{color}\" stroke-width=\"2\"/>"
            );
        }
    }
    for block in &tree.blocks {
        let (x, y) = (x(block.height), y(layout.lanes[&block.hash]));
        let fill = match (block.on_chain, block.transactions) {
            (true, _) => "#357",
            (false, Some(_)) => "#c77",
            (false, None) => "#fff",
        };
        let stroke = if block.on_chain { "#357" } else { "#a55" };
        let _ = writeln!(
            page,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"8\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"2\"><title>{} \
             {}</title></circle>",
            block.hash,
            label(block)
        );
        let _ = writeln!(
            page,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y + 22,
            short(&block.hash.0)
        );
        if block.on_chain {
            let _ = writeln!(
                page,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#777\">{}</text>",
                y - 16,
                block.height
            );
        }
    }
    page.push_str("</svg>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_ledger::keys::PublicKey;

    fn block(height: u64, hash: u8, parent: u8, on_chain: bool) -> TreeBlock {
        TreeBlock {
            height,
            hash: Hash([hash; 32]),
            parent: Hash([parent; 32]),
            miner: PublicKey([0xab; 32]),
            timestamp: height,
            target: 0,
            transactions: on_chain.then_some(usize::from(hash)),
            on_chain,
        }
    }

    /// 1 ── 2 ── 3 ── 4, a branch of two from 1, one of one from 2.
    fn tree() -> BlockTree {
        let blocks = vec![
            block(1, 1, 0, true),
            block(2, 2, 1, true),
            block(2, 0x12, 1, false),
            block(3, 3, 2, true),
            block(3, 0x13, 0x12, false),
            block(3, 0x23, 2, false),
            block(4, 4, 3, true),
        ];
        BlockTree { height: 4, blocks }
    }

    #[test]
    fn branches_stand_beside_the_chain() {
        let expected = "      4  ●       04040404  4 transactions    by abababab
      3  ●       03030303  3 transactions    by abababab
      3  │ ○     13131313  header only       by abababab
      3  │ │ ○   23232323  header only       by abababab
         ├───╯
      2  ● │     02020202  2 transactions    by abababab
      2  │ ○     12121212  header only       by abababab
         ├─╯
      1  ●       01010101  1 transaction     by abababab
";
        assert_eq!(text(&tree()), expected, "\n{}", text(&tree()));
    }

    #[test]
    fn the_picture_has_every_block_and_every_link() {
        let picture = svg(&tree());
        assert_eq!(picture.matches("<circle").count(), 7);
        assert_eq!(picture.matches("<path").count(), 6);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert_eq!(text(&BlockTree { height: 0, blocks: Vec::new() }), "");
        assert!(svg(&BlockTree { height: 0, blocks: Vec::new() }).contains("</svg>"));
    }
}
