//! Tallies as people read them.

use crate::cli::output::table;
use conclave_ledger::{applications::polls::ElectorateKind, tally::Tally};

/// Most options whose pairwise counts are shown as a table.
const MAX_PAIRWISE: usize = 26;

/// Who may vote.
pub(super) fn electorate(kind: ElectorateKind) -> String {
    match kind {
        ElectorateKind::Keys(keys) => format!("{keys} listed keys"),
        ElectorateKind::Validators => "the validators".into(),
        ElectorateKind::Anyone => "anyone".into(),
    }
}

/// Options in the order of the result, with their counts; ties share a place.
pub(crate) fn tally(tally: &Tally, options: &[String], pairwise: bool) -> String {
    let (head, counts) = match tally {
        Tally::ChooseOne { counts, .. } => ("BALLOTS", counts),
        Tally::Approve { counts, .. } => ("APPROVALS", counts),
        Tally::Rank { first_preferences, .. } => ("FIRST PREFERENCES", first_preferences),
    };
    let mut rows = Vec::new();
    let mut place = 1;
    for group in tally.order() {
        let tied = if group.len() > 1 { " (tied)" } else { "" };
        for option in group {
            let option = usize::from(*option);
            let name = options.get(option).map_or("?", String::as_str);
            rows.push(vec![format!("{place}{tied}"), name.to_owned(), counts[option].to_string()]);
        }
        place += group.len();
    }
    let mut text = format!("{} ballots\n{}", tally.ballots(), table(&["PLACE", "OPTION", head], &rows));
    match tally {
        Tally::Rank { pairwise: counts, .. } if pairwise => text.push_str(&preferences(counts, options)),
        _ => {}
    }
    text
}

/// How many voters prefer the option of the row to that of the column.
fn preferences(counts: &[Vec<u64>], options: &[String]) -> String {
    if options.len() > MAX_PAIRWISE {
        return format!("(pairwise counts of {} options: see --output json)\n", options.len());
    }
    let numbers: Vec<String> = (0..options.len()).map(|number| number.to_string()).collect();
    let mut head = vec!["PREFER … TO"];
    head.extend(numbers.iter().map(String::as_str));
    let row = |(number, counts): (usize, &Vec<u64>)| {
        let counts = counts.iter().enumerate().map(|(other, count)| match other == number {
            true => "·".to_owned(),
            false => count.to_string(),
        });
        std::iter::once(format!("{number} {}", options[number])).chain(counts).collect()
    };
    let rows: Vec<Vec<String>> = counts.iter().enumerate().map(row).collect();
    format!("\n{}", table(&head, &rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::tally::{Choice, Method};

    #[test]
    fn ties_share_a_place_and_the_next_place_follows_them() {
        let ballots = [vec![vec![0, 1], vec![2]], vec![vec![0, 1], vec![2]]].map(Choice::Rank);
        let counted = Tally::count(Method::Rank, 3, &ballots).unwrap();
        let text = tally(&counted, &["Soup", "Bread", "Fish"].map(String::from), true);
        for line in
            ["2 ballots", "1 (tied)  Soup", "1 (tied)  Bread", "3         Fish", "0 Soup       ·  0  2"]
        {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }
}
