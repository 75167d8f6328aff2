//! What a command prints on standard output: text for people, or JSON for programs.

use super::failure::Outcome;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON value.
    Json,
}

impl Output {
    /// Prints `value` as JSON, or the text made of it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show<T: Serialize + ?Sized>(self, value: &T, text: impl FnOnce(&T) -> String) -> Outcome {
        match self {
            Self::Text => line(&text(value)),
            Self::Json => line(&serde_json::to_string_pretty(value)?),
        }
    }

    /// Prints a line of text for people; nothing for programs.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn say(self, text: &str) -> Outcome {
        if self == Self::Text { line(text) } else { Ok(()) }
    }
}

/// Prints text and an end of line, if it has none.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn line(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Whether somebody watches: progress and redrawn views are for terminals only.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::io::stdout().is_terminal()
}

/// Rows of cells as a table: columns as wide as their widest cell, two spaces apart.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Most characters of a stranger's text on one line.
const MAX_PLAIN: usize = 4096;

/// A stranger's text on one line, so that it can neither drive the terminal nor look like lines of ours: control and
/// formatting characters are escaped, and what is too long is cut.
pub(crate) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_PLAIN));
    for character in text.chars().take(MAX_PLAIN) {
        // Marks that turn the direction of writing are no control characters by Unicode.
        let turns =
            matches!(character, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

/// A time in milliseconds since 1970 as `2025-01-31 12:00:00 UTC`.
pub(crate) fn date(milliseconds: u64) -> String {
    // Days to a date in the proleptic Gregorian calendar, by Howard Hinnant's `civil_from_days`.
    let (days, seconds) = (milliseconds / 86_400_000, milliseconds / 1000 % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (milliseconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_700_000_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(milliseconds), text);
        }
    }

    #[test]
    fn a_strangers_text_stays_on_its_line() {
        assert_eq!(plain("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c"), "a\\u{1b}[2J\\u{a}b\\u{202e}c");
        assert_eq!(plain(&"x".repeat(2 * MAX_PLAIN)).len(), MAX_PLAIN);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".into(), "a".into()], vec!["22222".into(), "é".into()]];
        assert_eq!(table(&["no", "name"], &rows), "no     name\n1      a\n22222  é\n");
    }
}
