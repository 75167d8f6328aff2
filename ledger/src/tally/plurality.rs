//! `choose-one`: each ballot names one option, and the option with most ballots wins.

use super::{Tally, order_by_count};

/// Ballots for each option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plurality {
    counts: Vec<u64>,
}

impl Plurality {
    pub(super) fn new(options: u16) -> Self {
        Self { counts: vec![0; usize::from(options)] }
    }

    pub(super) fn add(&mut self, option: u16) {
        self.counts[usize::from(option)] += 1;
    }

    /// Gives false, and changes nothing, if no such ballot was counted.
    pub(super) fn remove(&mut self, option: u16) -> bool {
        let count = &mut self.counts[usize::from(option)];
        let counted = *count > 0;
        *count = count.saturating_sub(1);
        counted
    }

    pub(super) fn tally(&self, ballots: u64) -> Tally {
        Tally::ChooseOne { ballots, counts: self.counts.clone(), order: order_by_count(&self.counts) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Choice, Method};
    use super::*;

    #[test]
    fn most_ballots_win_and_equal_counts_tie() {
        let ballots = [3, 1, 3, 0, 1, 3].map(Choice::One);
        let tally = Tally::count(Method::ChooseOne, 5, &ballots).unwrap();
        let order = vec![vec![3], vec![1], vec![0], vec![2, 4]];
        assert_eq!(tally, Tally::ChooseOne { ballots: 6, counts: vec![1, 2, 0, 3, 0], order });
    }

    #[test]
    fn without_ballots_all_tie() {
        let tally = Tally::count(Method::ChooseOne, 3, &[]).unwrap();
        assert_eq!(tally, Tally::ChooseOne { ballots: 0, counts: vec![0; 3], order: vec![vec![0, 1, 2]] });
    }
}
