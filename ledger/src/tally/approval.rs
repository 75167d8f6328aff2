//! `approve`: each ballot names any set of options, and the option on most ballots wins (Brams and Fishburn,
//! Approval Voting, 1978). A ballot that names none, or all, does not change the order.

use super::{Tally, order_by_count};

/// Ballots that approve each option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Approval {
    counts: Vec<u64>,
}

impl Approval {
    pub(super) fn new(options: u16) -> Self {
        Self { counts: vec![0; usize::from(options)] }
    }

    pub(super) fn add(&mut self, approved: &[u16]) {
        for option in approved {
            self.counts[usize::from(*option)] += 1;
        }
    }

    /// Gives false, and changes nothing, if no such ballot can have been counted.
    pub(super) fn remove(&mut self, approved: &[u16]) -> bool {
        if approved.iter().any(|option| self.counts[usize::from(*option)] == 0) {
            return false;
        }
        for option in approved {
            self.counts[usize::from(*option)] -= 1;
        }
        true
    }

    pub(super) fn tally(&self, ballots: u64) -> Tally {
        Tally::Approve { ballots, counts: self.counts.clone(), order: order_by_count(&self.counts) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Choice, Method};
    use super::*;

    #[test]
    fn the_option_on_most_ballots_wins() {
        let ballots = [vec![0, 2], vec![2], vec![], vec![0, 1, 2, 3], vec![1, 3]].map(Choice::Approve);
        let tally = Tally::count(Method::Approve, 4, &ballots).unwrap();
        let order = vec![vec![2], vec![0, 1, 3]];
        assert_eq!(tally, Tally::Approve { ballots: 5, counts: vec![2, 2, 3, 2], order });
    }
}
