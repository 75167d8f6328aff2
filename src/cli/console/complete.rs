//! What can come next in a line: commands, flags and their values, polls, options, addresses.

use super::{
    place::Place,
    words::{Words, quoted},
};
use clap::{Arg, Command};
use conclave_ledger::tally::Method;

/// What only the node knows.
pub(super) trait Known {
    /// Ids and titles of polls, the newest first.
    fn polls(&self) -> Vec<(String, String)>;
    /// The options of a poll.
    fn options(&self, poll: &str) -> Vec<String>;
    /// Addresses of peers.
    fn addresses(&self) -> Vec<String>;
}

/// Something that can come next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// What is shown where there are several.
    pub(super) shown: String,
    /// What takes the place of the last word.
    pub(super) word: String,
}

impl Candidate {
    fn plain(word: impl Into<String>) -> Self {
        let word = word.into();
        Self { shown: word.clone(), word }
    }
}

/// What can take the place of the last word of `line`, and where that begins, in bytes.
pub(super) fn candidates(tree: &Command, line: &str, known: &impl Known) -> (usize, Vec<Candidate>) {
    let Words { finished, last, last_start, .. } = Words::of(line);
    let begun = last.unwrap_or_default();
    let place = Place::of(tree, &finished);
    let mut found = if let Some(flag) = place.flag {
        values(flag)
    } else if begun.starts_with('-') {
        flags(place.command)
    } else if place.command.has_subcommands() {
        if place.arguments.is_empty() { commands(place.command) } else { Vec::new() }
    } else {
        let argument = place.argument(place.arguments.len()).map(|arg| arg.get_id().as_str());
        match argument {
            Some("poll") => polls(known),
            Some("options") => options(&place, &finished, &begun, known),
            Some("address") => known.addresses().into_iter().map(Candidate::plain).collect(),
            _ => Vec::new(),
        }
    };
    found.retain(|candidate| candidate.word.starts_with(&begun));
    for candidate in &mut found {
        candidate.word = quoted(&candidate.word);
    }
    (last_start, found)
}

fn commands(command: &Command) -> Vec<Candidate> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.map(|command| Candidate::plain(command.get_name())).collect()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
    visible.filter_map(|arg| Some(Candidate::plain(format!("--{}", arg.get_long()?)))).collect()
}

fn values(flag: &Arg) -> Vec<Candidate> {
    match flag.get_id().as_str() {
        "method" => Method::ALL.into_iter().map(|method| Candidate::plain(method.to_string())).collect(),
        "electorate" => ["validators", "anyone"].map(Candidate::plain).to_vec(),
        _ => flag.get_possible_values().iter().map(|value| Candidate::plain(value.get_name())).collect(),
    }
}

fn polls(known: &impl Known) -> Vec<Candidate> {
    let named = |(id, title): (String, String)| Candidate {
        shown: format!("{}…  {title}", &id[..id.len().min(8)]),
        word: id,
    };
    known.polls().into_iter().map(named).collect()
}

/// The options of the poll that the line names and that it does not have yet; after a `=`, those that tie with it.
fn options(place: &Place<'_>, words: &[String], begun: &str, known: &impl Known) -> Vec<Candidate> {
    let Some(poll) = place.word_of("poll").map(|index| words[index].as_str()) else { return Vec::new() };
    let given: Vec<&str> = place.arguments.iter().skip(1).map(|index| words[*index].as_str()).collect();
    let mut options = known.options(poll);
    options.retain(|option| {
        !given.iter().any(|word| *word == option || word.split('=').any(|part| part == option))
    });
    let is_begun = options.iter().any(|option| option.starts_with(begun));
    match begun.rsplit_once('=').filter(|_| !is_begun) {
        None => options.into_iter().map(Candidate::plain).collect(),
        Some((tied, _)) => {
            let others = options.iter().filter(|option| !tied.split('=').any(|part| part == *option));
            others
                .map(|option| Candidate { shown: option.clone(), word: format!("{tied}={option}") })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::commands::tree, *};

    struct Fixed;

    impl Known for Fixed {
        fn polls(&self) -> Vec<(String, String)> {
            vec![("77ab".repeat(16), "Lunch?".into()), ("12cd".repeat(16), "Dinner?".into())]
        }
        fn options(&self, poll: &str) -> Vec<String> {
            let options = ["Soup", "Bread and Butter", "Fish"].map(String::from).to_vec();
            if poll.starts_with("77ab") { options } else { Vec::new() }
        }
        fn addresses(&self) -> Vec<String> {
            vec!["/ip4/127.0.0.1/tcp/1/p2p/x".into()]
        }
    }

    fn words(line: &str) -> (usize, Vec<String>) {
        let (start, found) = candidates(&tree(), line, &Fixed);
        (start, found.into_iter().map(|candidate| candidate.word).collect())
    }

    #[test]
    fn whatever_can_come_next_is_offered() {
        let (lunch, dinner) = ("77ab".repeat(16), "12cd".repeat(16));
        for (line, start, expected) in [
            ("sta", 0, vec!["status"]),
            ("poll c", 5, vec!["create", "cast", "close"]),
            ("help poll ta", 10, vec!["tally"]),
            ("poll create --met", 12, vec!["--method"]),
            ("poll create --method a", 21, vec!["approve"]),
            ("poll create x y --electorate ", 29, vec!["validators", "anyone"]),
            ("watch --only dec", 13, vec!["decided"]),
            ("connect /ip4", 8, vec!["/ip4/127.0.0.1/tcp/1/p2p/x"]),
            ("status x", 7, vec![]),
            ("nonsense ", 9, vec![]),
            ("vote ", 5, vec![lunch.as_str(), dinner.as_str()]),
            ("tally 7", 6, vec![lunch.as_str()]),
            ("vote 12cd ", 10, vec![]),
            ("vote 77ab ", 10, vec!["Soup", "\"Bread and Butter\"", "Fish"]),
            ("vote 77ab --key k Soup ", 23, vec!["\"Bread and Butter\"", "Fish"]),
            ("vote 77ab \"Br", 10, vec!["\"Bread and Butter\""]),
            ("vote 77ab Soup=F", 10, vec!["Soup=Fish"]),
            ("vote 77ab Soup=Fish ", 20, vec!["\"Bread and Butter\""]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(String::from).collect();
            assert_eq!(words(line), (start, expected), "{line:?}");
        }
        let (_, all) = words("");
        assert!(
            ["status", "vote", "help", "quit"].iter().all(|name| all.iter().any(|word| word == name)),
            "{all:?}"
        );
    }

    #[test]
    fn polls_are_shown_with_their_titles() {
        let (_, found) = candidates(&tree(), "tally 1", &Fixed);
        assert_eq!(found.first().map(|candidate| candidate.shown.as_str()), Some("12cd12cd…  Dinner?"));
    }
}
