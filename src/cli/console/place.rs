//! Which command the words of a line name, and what each of its words is to that command.

use clap::{Arg, ArgAction, Command};

/// A line's command, and its words.
pub(super) struct Place<'a> {
    /// The command, as deep as the words name it.
    pub(super) command: &'a Command,
    /// Its name, with those of the groups that it is in.
    pub(super) path: Vec<&'a str>,
    /// Which of the words are arguments, in order; flags and their values are not.
    pub(super) arguments: Vec<usize>,
    /// The flag whose value comes next.
    pub(super) flag: Option<&'a Arg>,
}

impl<'a> Place<'a> {
    /// Where `words` lead in `tree`.
    pub(super) fn of(tree: &'a Command, words: &[String]) -> Self {
        let mut place = Self { command: tree, path: Vec::new(), arguments: Vec::new(), flag: None };
        for (index, word) in words.iter().enumerate() {
            if place.flag.take().is_some() {
                continue;
            }
            match place.command.find_subcommand(word) {
                Some(command) if place.arguments.is_empty() => {
                    place.path.push(command.get_name());
                    place.command = command;
                }
                _ if word.starts_with('-') => place.flag = place.flag_awaiting(word),
                _ => place.arguments.push(index),
            }
        }
        place
    }

    /// The flag that `word` names, if its value is the next word.
    fn flag_awaiting(&self, word: &str) -> Option<&'a Arg> {
        let is_named = |arg: &&Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg
                .get_short()
                .is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str())),
        };
        self.command.get_arguments().find(is_named).filter(|arg| arg.get_action().takes_values())
    }

    /// What the argument with this number, from 0, is to the command.
    pub(super) fn argument(&self, number: usize) -> Option<&'a Arg> {
        let mut arguments = self.command.get_positionals();
        let last = self.command.get_positionals().last();
        let takes_more = |arg: &&Arg| {
            let several = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
            several || matches!(arg.get_action(), ArgAction::Append)
        };
        arguments.nth(number).or_else(|| last.filter(takes_more))
    }

    /// The word that is the argument of this name, by its index.
    pub(super) fn word_of(&self, name: &str) -> Option<usize> {
        let mut numbered = self.arguments.iter().enumerate();
        let (_, index) =
            numbered.find(|(number, _)| self.argument(*number).is_some_and(|arg| arg.get_id() == name))?;
        Some(*index)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::commands::tree, *};

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn every_word_has_its_place() {
        let tree = tree();
        for (line, path, arguments, flag) in [
            ("status", vec!["status"], vec![], None),
            ("nonsense status", vec![], vec![0, 1], None),
            ("poll create --method rank Lunch? Soup", vec!["poll", "create"], vec![4, 5], None),
            ("poll create --method", vec!["poll", "create"], vec![], Some("method")),
            ("poll create --method=rank x", vec!["poll", "create"], vec![3], None),
            ("poll tally --pairwise 77ab", vec!["poll", "tally"], vec![3], None),
            ("help poll cast", vec!["help", "poll", "cast"], vec![], None),
        ] {
            let words = words(line);
            let place = Place::of(&tree, &words);
            assert_eq!((&place.path, &place.arguments), (&path, &arguments), "{line}");
            assert_eq!(place.flag.map(|arg| arg.get_id().as_str()), flag, "{line}");
        }
    }

    #[test]
    fn arguments_are_found_by_name() {
        let tree = tree();
        for (line, poll) in [
            ("vote 77ab Soup", Some(1)),
            ("poll cast --key k 77ab Soup", Some(4)),
            ("poll create a b", None),
            ("vote", None),
        ] {
            assert_eq!(Place::of(&tree, &words(line)).word_of("poll"), poll, "{line}");
        }
        let words = words("vote 77ab");
        let place = Place::of(&tree, &words);
        let names: Vec<_> =
            (0..4).map(|number| place.argument(number).map(|arg| arg.get_id().as_str())).collect();
        assert_eq!(names, [Some("poll"), Some("options"), Some("options"), Some("options")]);
    }
}
