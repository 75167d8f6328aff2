//! `rank`: Schulze's beatpath method with winning votes (M. Schulze, "A new monotonic, clone-independent,
//! reversal symmetric, and Condorcet-consistent single-winner election method", Social Choice and Welfare 36,
//! 2011). It is at the heart of how Debian counts its votes (its constitution, appendix A, "Vote Counting"),
//! without Debian's quorum and majorities.
//!
//! 1. N(i, j) is the number of ballots that rank i strictly above j. Options that a ballot does not rank are
//!    below all those that it ranks, and tied with each other.
//! 2. There is a link from i to j if N(i, j) > N(j, i); its strength is N(i, j), its *winning votes*. A path
//!    is as strong as its weakest link. P(i, j) is the strength of the strongest path from i to j, 0 without
//!    one.
//! 3. i beats j if P(i, j) > P(j, i). If i beats j and j beats k, then i beats k (Schulze 2011, section 4.1).
//! 4. The order: first the options that nobody beats (there is always one), then those that only options of
//!    the first group beat, and so on.
//!
//! Beating is not always a complete order: two options may beat neither each other nor the same others. The
//! groups of step 4 are then one way to write it down: options of one group never beat each other, an option
//! never stands before one that beats it, and each one is beaten by some option of the group before its own.
//! The winners, the first group, are exactly those of the paper.
//!
//! Step 2 is the algorithm of Floyd and Warshall with (max, min) for (min, +): options³ steps, row by row.

use super::Tally;

/// N(i, j) and the first preferences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schulze {
    first_preferences: Vec<u64>,
    pairwise: Matrix,
}

/// A square matrix of numbers of ballots, in rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Matrix {
    size: usize,
    cells: Vec<u32>,
}

impl Matrix {
    fn new(size: usize) -> Self {
        Self { size, cells: vec![0; size * size] }
    }

    fn at(&self, row: usize, column: usize) -> u32 {
        self.cells[row * self.size + column]
    }

    fn row(&self, row: usize) -> &[u32] {
        &self.cells[row * self.size..][..self.size]
    }

    fn row_mut(&mut self, row: usize) -> &mut [u32] {
        &mut self.cells[row * self.size..][..self.size]
    }
}

impl Schulze {
    pub(super) fn new(options: u16) -> Self {
        let options = usize::from(options);
        Self { first_preferences: vec![0; options], pairwise: Matrix::new(options) }
    }

    pub(super) fn add(&mut self, ranking: &[Vec<u16>]) {
        if let Some(first) = first_preference(ranking) {
            self.first_preferences[first] += 1;
        }
        let positions = self.positions(ranking);
        for option in ranked(ranking) {
            let own = positions[option];
            for (count, other) in self.pairwise.row_mut(option).iter_mut().zip(&positions) {
                *count += u32::from(own < *other);
            }
        }
    }

    /// Gives false, and changes nothing, if no such ballot can have been counted.
    pub(super) fn remove(&mut self, ranking: &[Vec<u16>]) -> bool {
        let positions = self.positions(ranking);
        let counted = |option: usize| {
            let mut counts = self.pairwise.row(option).iter().zip(&positions);
            counts.all(|(count, other)| positions[option] >= *other || *count > 0)
        };
        let first = first_preference(ranking);
        if first.is_some_and(|first| self.first_preferences[first] == 0) || !ranked(ranking).all(counted) {
            return false;
        }
        if let Some(first) = first {
            self.first_preferences[first] -= 1;
        }
        for option in ranked(ranking) {
            let own = positions[option];
            for (count, other) in self.pairwise.row_mut(option).iter_mut().zip(&positions) {
                *count -= u32::from(own < *other);
            }
        }
        true
    }

    pub(super) fn tally(&self, ballots: u64) -> Tally {
        let options = 0..self.pairwise.size;
        Tally::Rank {
            ballots,
            first_preferences: self.first_preferences.clone(),
            pairwise: options
                .map(|row| self.pairwise.row(row).iter().copied().map(u64::from).collect())
                .collect(),
            order: groups(&strongest_paths(&self.pairwise)),
        }
    }

    /// The place of each option in `ranking`, from 0; the last of all places for those not ranked.
    fn positions(&self, ranking: &[Vec<u16>]) -> Vec<u16> {
        let mut positions = vec![u16::MAX; self.pairwise.size];
        for (position, group) in (0..).zip(ranking) {
            for option in group {
                positions[usize::from(*option)] = position;
            }
        }
        positions
    }
}

fn ranked(ranking: &[Vec<u16>]) -> impl Iterator<Item = usize> {
    ranking.iter().flatten().copied().map(usize::from)
}

fn first_preference(ranking: &[Vec<u16>]) -> Option<usize> {
    match ranking.first()?.as_slice() {
        [first] => Some(usize::from(*first)),
        _ => None,
    }
}

/// P(i, j), the strengths of the strongest paths (step 2). The diagonal has no meaning.
fn strongest_paths(pairwise: &Matrix) -> Matrix {
    let options = pairwise.size;
    let mut paths = Matrix::new(options);
    for from in 0..options {
        for to in 0..options {
            let (with, against) = (pairwise.at(from, to), pairwise.at(to, from));
            paths.row_mut(from)[to] = if with > against { with } else { 0 };
        }
    }
    for via in 0..options {
        let onward = paths.row(via).to_vec();
        for from in (0..options).filter(|from| *from != via) {
            let first_part = paths.at(from, via);
            if first_part == 0 {
                continue;
            }
            for (path, second_part) in paths.row_mut(from).iter_mut().zip(&onward) {
                *path = (*path).max(first_part.min(*second_part));
            }
        }
    }
    paths
}

/// The options in groups, best first (steps 3 and 4).
fn groups(paths: &Matrix) -> Vec<Vec<u16>> {
    let options = paths.size;
    let beats = |one: usize, other: usize| paths.at(one, other) > paths.at(other, one);
    // How many options that are in no group yet beat each option.
    let mut beaten_by: Vec<usize> =
        (0..options).map(|option| (0..options).filter(|other| beats(*other, option)).count()).collect();
    let mut open: Vec<usize> = (0..options).collect();
    let mut groups = Vec::new();
    while !open.is_empty() {
        let (unbeaten, rest): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|option| beaten_by[**option] == 0);
        for option in &rest {
            beaten_by[*option] -= unbeaten.iter().filter(|other| beats(**other, *option)).count();
        }
        // An option's number fits, as options are counted by a u16.
        groups.push(unbeaten.iter().map(|option| *option as u16).collect());
        open = rest;
    }
    groups
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Choice, Method};
    use super::*;

    type Ranking = Vec<Vec<u16>>;

    /// Reads "ACBED" as a ranking of the options A, B, C, …
    fn letters(text: &str) -> Ranking {
        text.bytes().map(|letter| vec![u16::from(letter - b'A')]).collect()
    }

    fn count(options: u16, ballots: &[(usize, Ranking)]) -> Schulze {
        let mut schulze = Schulze::new(options);
        for (times, ranking) in ballots {
            Choice::Rank(ranking.clone()).check(Method::Rank, options).unwrap();
            (0..*times).for_each(|_| schulze.add(ranking));
        }
        schulze
    }

    fn order(schulze: &Schulze) -> Vec<Vec<u16>> {
        groups(&strongest_paths(&schulze.pairwise))
    }

    fn spelled(order: &[Vec<u16>]) -> Vec<String> {
        let letter = |option: &u16| char::from(b'A' + u8::try_from(*option).unwrap());
        order.iter().map(|group| group.iter().map(letter).collect()).collect()
    }

    /// The example of 45 voters with the published pairwise counts and strongest paths.
    #[test]
    fn the_example_of_45_voters() {
        let ballots = [
            (5, "ACBED"),
            (5, "ADECB"),
            (8, "BEDAC"),
            (3, "CABED"),
            (7, "CAEBD"),
            (2, "CBADE"),
            (7, "DCEBA"),
            (8, "EBADC"),
        ]
        .map(|(times, text)| (times, letters(text)));
        let schulze = count(5, &ballots);
        let pairwise = [
            [0, 20, 26, 30, 22],
            [25, 0, 16, 33, 18],
            [19, 29, 0, 17, 24],
            [15, 12, 28, 0, 14],
            [23, 27, 21, 31, 0],
        ];
        assert_eq!(schulze.pairwise.cells, pairwise.concat());
        let mut paths = strongest_paths(&schulze.pairwise);
        (0..5).for_each(|option| paths.row_mut(option)[option] = 0);
        let expected = [
            [0, 28, 28, 30, 24],
            [25, 0, 28, 33, 24],
            [25, 29, 0, 29, 24],
            [25, 28, 28, 0, 24],
            [25, 28, 28, 31, 0],
        ];
        assert_eq!(paths.cells, expected.concat());
        assert_eq!(spelled(&order(&schulze)), ["E", "A", "C", "B", "D"]);
    }

    /// The example of 9 voters whose result is not unique: B beats C and D beats A, and that is all.
    #[test]
    fn the_example_of_9_voters_ties() {
        let ballots =
            [(3, "ABCD"), (2, "DABC"), (2, "DBCA"), (2, "CBDA")].map(|(times, text)| (times, letters(text)));
        let schulze = count(4, &ballots);
        let paths = strongest_paths(&schulze.pairwise);
        let beats: Vec<(usize, usize)> = (0..4)
            .flat_map(|one| (0..4).map(move |other| (one, other)))
            .filter(|(one, other)| paths.at(*one, *other) > paths.at(*other, *one))
            .collect();
        assert_eq!(beats, [(1, 2), (3, 0)]);
        assert_eq!(spelled(&order(&schulze)), ["BD", "AC"]);
    }

    #[test]
    fn a_cycle_of_equal_strength_is_a_tie() {
        let ballots = ["ABC", "BCA", "CAB"].map(|text| (1, letters(text)));
        assert_eq!(spelled(&order(&count(3, &ballots))), ["ABC"]);
    }

    #[test]
    fn unranked_options_are_last_and_tied() {
        let schulze = count(4, &[(1, vec![vec![2]])]);
        assert_eq!(schulze.pairwise.row(2), [1, 1, 0, 1]);
        assert_eq!(schulze.pairwise.cells.iter().sum::<u32>(), 3);
        assert_eq!(order(&schulze), [vec![2], vec![0, 1, 3]]);
        assert_eq!(order(&count(4, &[(1, vec![])])), [[0, 1, 2, 3]]);
    }

    #[test]
    fn a_tie_at_the_top_is_no_first_preference() {
        let schulze = count(3, &[(2, vec![vec![0, 1], vec![2]]), (1, vec![vec![2]])]);
        assert_eq!(schulze.first_preferences, [0, 0, 1]);
        assert_eq!(schulze.pairwise.cells, [0, 0, 2, 0, 0, 2, 1, 1, 0]);
        assert_eq!(order(&schulze), [vec![0, 1], vec![2]]);
    }

    /// The vote on the Debian logo (1999), from PrefLib.
    #[test]
    fn the_debian_logo() {
        let text = include_str!("../../../examples/debian-logo.soi");
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# ALTERNATIVE NAME ")).collect();
        let names: Vec<&str> = names.iter().map(|name| name.split_once(": ").unwrap().1).collect();
        let read = |line: &str| {
            let (times, options) = line.split_once(": ").unwrap();
            let ranking = options.split(',').map(|option| vec![option.parse::<u16>().unwrap() - 1]).collect();
            (times.parse().unwrap(), ranking)
        };
        let ballots: Vec<(usize, Ranking)> =
            text.lines().filter(|line| !line.starts_with('#')).map(read).collect();
        let schulze = count(8, &ballots);

        let first: Vec<(&str, u64)> =
            names.iter().copied().zip(schulze.first_preferences.iter().copied()).collect();
        let expected = [
            ("Ants", 8),
            ("Swirl", 43),
            ("Seal", 1),
            ("Old Logo", 21),
            ("Fixed Chicken", 11),
            ("DV", 36),
            ("Modified", 16),
            ("Further Discussion", 7),
        ];
        assert_eq!(first, expected);

        let order: Vec<Vec<&str>> = order(&schulze)
            .iter()
            .map(|group| group.iter().map(|option| names[usize::from(*option)]).collect())
            .collect();
        let expected =
            ["Swirl", "DV", "Old Logo", "Modified", "Fixed Chicken", "Further Discussion", "Ants", "Seal"];
        assert_eq!(order, expected.map(|name| vec![name]));
    }

    /// The method straight from the module's documentation: strengths as the highest threshold at which a
    /// path is left, found by trying, and groups by looking at all pairs.
    fn order_as_defined(options: u16, ballots: &[Ranking]) -> Vec<Vec<u16>> {
        let place = |ranking: &Ranking, option: u16| {
            ranking.iter().position(|group| group.contains(&option)).unwrap_or(usize::MAX)
        };
        let above = |i, j| ballots.iter().filter(|ranking| place(ranking, i) < place(ranking, j)).count();
        let link = |i, j, least| above(i, j) > above(j, i) && above(i, j) >= least;
        let reachable = |i, j, least| {
            let mut reached = vec![i];
            let mut next = 0;
            while next < reached.len() {
                let from = reached[next];
                reached.extend((0..options).filter(|to| link(from, *to, least)).collect::<Vec<_>>());
                reached = reached.into_iter().fold(Vec::new(), |mut once, option| {
                    if !once.contains(&option) {
                        once.push(option);
                    }
                    once
                });
                next += 1;
            }
            reached.contains(&j)
        };
        let strength = |i, j| (1..=ballots.len()).rev().find(|least| reachable(i, j, *least)).unwrap_or(0);
        let strengths: Vec<Vec<usize>> = (0..options)
            .map(|i| (0..options).map(|j| if i == j { 0 } else { strength(i, j) }).collect())
            .collect();
        let beats = |i: u16, j: u16| {
            strengths[usize::from(i)][usize::from(j)] > strengths[usize::from(j)][usize::from(i)]
        };
        let mut open: Vec<u16> = (0..options).collect();
        let mut order = Vec::new();
        while !open.is_empty() {
            let group: Vec<u16> = open
                .iter()
                .copied()
                .filter(|option| !open.iter().any(|other| beats(*other, *option)))
                .collect();
            open.retain(|option| !group.contains(option));
            order.push(group);
        }
        order
    }

    fn ranking(options: u16) -> impl Strategy<Value = Ranking> {
        prop::collection::vec(0..=options, usize::from(options)).prop_map(move |places| {
            let place = |place| {
                (0..).zip(&places).filter(|(_, own)| **own == place).map(|(option, _)| option).collect()
            };
            (0..options).map(place).filter(|group: &Vec<u16>| !group.is_empty()).collect()
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            (options, ballots) in (1..6u16).prop_flat_map(|options| {
                (Just(options), prop::collection::vec(ranking(options), 0..10))
            })
        ) {
            let counted: Vec<_> = ballots.iter().map(|ranking| (1, ranking.clone())).collect();
            prop_assert_eq!(order(&count(options, &counted)), order_as_defined(options, &ballots));
        }

        /// Other numbers for the same options give the same result with the other numbers.
        #[test]
        fn the_numbers_of_options_do_not_matter(
            ballots in prop::collection::vec(ranking(7), 0..15),
            numbers in Just((0..7u16).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let renumbered = |groups: &[Vec<u16>]| -> Ranking {
                let group = |group: &Vec<u16>| {
                    let renumber = |option: &u16| numbers[usize::from(*option)];
                    let mut group: Vec<u16> = group.iter().map(renumber).collect();
                    group.sort_unstable();
                    group
                };
                groups.iter().map(group).collect()
            };
            let ballots: Vec<_> = ballots.into_iter().map(|ranking| (1, ranking)).collect();
            let other = |(times, ranking): &(usize, Ranking)| (*times, renumbered(ranking));
            let others: Vec<_> = ballots.iter().map(other).collect();
            prop_assert_eq!(order(&count(7, &others)), renumbered(&order(&count(7, &ballots))));
        }

        /// An option that wins against each other one, one to one, is the winner.
        #[test]
        fn a_condorcet_winner_wins(ballots in prop::collection::vec(ranking(4), 1..15)) {
            let schulze = count(4, &ballots.into_iter().map(|ranking| (1, ranking)).collect::<Vec<_>>());
            let pairwise = &schulze.pairwise;
            let wins = |one: usize, other: usize| pairwise.at(one, other) > pairwise.at(other, one);
            let winner = (0..4).find(|one| (0..4).all(|other| other == *one || wins(*one, other)));
            if let Some(winner) = winner {
                prop_assert_eq!(&order(&schulze)[0], &[winner as u16]);
            }
        }
    }
}
