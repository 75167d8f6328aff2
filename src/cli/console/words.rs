//! The words of a line, as a shell would split it.
//!
//! Spaces separate words. `'…'` takes everything as it is; in `"…"` and outside of quotes a backslash takes the next
//! character as it is. There are no variables, no patterns and nothing else.

/// A line that ends in the middle of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenEnd {
    /// A quote is not closed.
    #[error("the quote {0} is not closed: close it, or write \\{0} for the character itself")]
    Quote(char),
    /// A backslash takes no character.
    #[error("the line ends with a backslash: write \\\\ for the character itself")]
    Backslash,
}

/// What a line consists of up to some place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The words that are finished.
    pub(super) finished: Vec<String>,
    /// The word at the end, if there is no space after it; without its quotes.
    pub(super) last: Option<String>,
    /// Where the last word begins, in bytes: the end of the line if there is none.
    pub(super) last_start: usize,
    /// What is open at the end.
    pub(super) open: Option<OpenEnd>,
}

impl Words {
    /// The words of `line`.
    pub(super) fn of(line: &str) -> Self {
        let mut words = Self::default();
        let mut quote = None;
        let mut characters = line.char_indices();
        while let Some((position, character)) = characters.next() {
            match (quote, character) {
                (None, character) if character.is_whitespace() => {
                    words.finished.extend(words.last.take());
                    continue;
                }
                _ if words.last.is_none() => words.last_start = position,
                _ => {}
            }
            let last = words.last.get_or_insert_default();
            match (quote, character) {
                (None, '\'' | '"') => quote = Some(character),
                (Some(open), closing) if open == closing => quote = None,
                (None | Some('"'), '\\') => match characters.next() {
                    Some((_, escaped)) => last.push(escaped),
                    None => words.open = Some(OpenEnd::Backslash),
                },
                _ => last.push(character),
            }
        }
        if words.last.is_none() {
            words.last_start = line.len();
        }
        words.open = words.open.or(quote.map(OpenEnd::Quote));
        words
    }

    /// All words of a line that is finished.
    ///
    /// # Errors
    /// When a quote is open.
    pub(super) fn all(line: &str) -> Result<Vec<String>, OpenEnd> {
        let mut words = Self::of(line);
        words.finished.extend(words.last);
        words.open.map_or(Ok(words.finished), Err)
    }
}

/// A word so that it reads back: as it is if nothing in it is special, else in quotes.
pub(super) fn quoted(word: &str) -> String {
    let is_special = |character: char| character.is_whitespace() || matches!(character, '\'' | '"' | '\\');
    if !word.is_empty() && !word.contains(is_special) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for character in word.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_split_as_a_shell_splits_them() {
        for (line, words) in [
            ("", vec![]),
            ("  status  ", vec!["status"]),
            (
                "poll create 'Lunch?' \"Bread \\\"n\\\" Butter\" Fish",
                vec!["poll", "create", "Lunch?", "Bread \"n\" Butter", "Fish"],
            ),
            (r"a\ b 'c\d' e''f ''", vec!["a b", r"c\d", "ef", ""]),
        ] {
            assert_eq!(Words::all(line).unwrap(), words, "{line:?}");
        }
        assert_eq!(Words::all("say 'x"), Err(OpenEnd::Quote('\'')));
        assert_eq!(Words::all("say x\\"), Err(OpenEnd::Backslash));
    }

    #[test]
    fn an_unfinished_line_says_where_its_last_word_begins() {
        for (line, finished, last, start) in [
            ("", vec![], None, 0),
            ("po", vec![], Some("po"), 0),
            ("vote ", vec!["vote"], None, 5),
            ("vote 'So up", vec!["vote"], Some("So up"), 5),
            ("vote  é\"", vec!["vote"], Some("é"), 6),
        ] {
            let words = Words::of(line);
            assert_eq!(words.finished, finished, "{line:?}");
            assert_eq!((words.last.as_deref(), words.last_start), (last, start), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_back(words in proptest::collection::vec(".*", 0..4)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(Words::all(&line).unwrap(), words);
        }
    }
}
