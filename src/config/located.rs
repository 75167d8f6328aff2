//! Where in a TOML file something is: line, column and the path of the field, for errors that people can act on.

use serde::de::DeserializeOwned;
use std::{
    fmt,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Largest TOML file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Why a TOML file is refused, and where.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is larger than any such file.
    #[error("{} has more than {MAX_FILE_BYTES} bytes: it is not what it should be", .0.display())]
    TooLarge(PathBuf),
    /// Something in it is wrong.
    #[error("{}:{place}: {message}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What is wrong.
        message: String,
    },
}

/// A place in a TOML file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Path of the field, such as `validators[2].key`; empty outside of any.
    pub field: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)?;
        if self.field.is_empty() { Ok(()) } else { write!(f, ": {}", self.field) }
    }
}

/// Reads a file as text.
///
/// # Errors
/// When it cannot be read or is too large.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let failed = |error| FileError::Read(path.into(), error);
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(FileError::TooLarge(path.into()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Reads a value from TOML text; `path` is what errors call it.
///
/// # Errors
/// With the place of what is wrong.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(Place::default, |span| place_at(text, span.start));
        let place = if place.line == 0 { place_at(text, 0) } else { place };
        FileError::Wrong { path: path.into(), place, message: error.message().to_owned() }
    })
}

/// The error for a rule that the field with this path breaks.
pub fn broken_rule(path: &Path, text: &str, field: &str, rule: impl fmt::Display) -> FileError {
    let mut place = place_at(text, offset_of(text, field));
    place.field = field.to_owned();
    FileError::Wrong { path: path.into(), place, message: rule.to_string() }
}

/// The place at a byte offset.
fn place_at(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let mut field = String::new();
    if let Ok(document) = DeTable::parse(text) {
        field_in_table(document.get_ref(), offset, &mut field);
    }
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, field }
}

/// Appends the path of the innermost field at `offset`; whether there is one.
fn field_in_table(table: &DeTable<'_>, offset: usize, field: &mut String) -> bool {
    for (key, value) in table {
        let within = key.span().contains(&offset) || value.span().contains(&offset);
        let length = field.len();
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(key.get_ref());
        // The parts of a table may lie anywhere in the file, so each is looked into.
        if field_in_value(value, offset, field) || within {
            return true;
        }
        field.truncate(length);
    }
    false
}

fn field_in_value(value: &Spanned<DeValue<'_>>, offset: usize, field: &mut String) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => field_in_table(table, offset, field),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = field.len();
                field.push_str(&format!("[{index}]"));
                if field_in_value(item, offset, field) || item.span().contains(&offset) {
                    return true;
                }
                field.truncate(length);
            }
            false
        }
        _ => false,
    }
}

/// The offset of the field with this path, or of the nearest one around it; 0 if there is none.
fn offset_of(text: &str, field: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut offset = 0;
    let mut names = field.split('.');
    let mut table = document.get_ref();
    while let Some((name, indexes)) = names.next().map(split_indexes) {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
        offset = key.span().start;
        let mut value = value;
        for index in indexes {
            let DeValue::Array(items) = value.get_ref() else { return offset };
            let Some(item) = items.get(index) else { return offset };
            (offset, value) = (item.span().start, item);
        }
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    offset
}

/// `validators[2]` as its name and the numbers in brackets.
fn split_indexes(part: &str) -> (&str, Vec<usize>) {
    let mut pieces = part.split('[');
    let name = pieces.next().unwrap_or_default();
    (name, pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str =
        "name = \"n\"\n\n[limits]\nbody = 1\n\n[[item]]\nkey = 1\n\n[[item]]\nkey = 2\nlist = [5, 6]\n";

    #[test]
    fn fields_are_found_by_path_and_places_name_their_field() {
        for (field, line) in [
            ("name", 1),
            ("limits.body", 4),
            ("item[1].key", 10),
            ("item[0]", 6),
            ("limits.absent", 3),
            ("absent", 1),
        ] {
            let place = place_at(TEXT, offset_of(TEXT, field));
            assert_eq!(place.line, line, "{field}");
        }
        for (needle, field) in
            [("= 2", ""), ("2\nlist", "item[1].key"), ("6]", "item[1].list[1]"), ("body", "limits.body")]
        {
            let at = TEXT.find(needle).unwrap();
            let found = place_at(TEXT, at).field;
            assert!(found == field || field.is_empty(), "{needle}: {found}");
        }
    }
}
