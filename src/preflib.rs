//! A reader for the elections of PrefLib, <https://www.preflib.org/format>, in the ordinal formats:
//!
//! | data type | ties | orders |
//! |---|---|---|
//! | `soc` | no | complete |
//! | `soi` | no | any part of the alternatives |
//! | `toc` | yes | complete |
//! | `toi` | yes | any part of the alternatives |
//!
//! A file starts with header lines `# KEY: value`, among them all of those below, and goes on with one line
//! per order, each with the number of voters who gave it, best alternative first, tied ones in braces:
//!
//! ```text
//! # FILE NAME: 00001-00000001.toi
//! # TITLE: Lunch
//! # DATA TYPE: toi
//! # NUMBER ALTERNATIVES: 3
//! # NUMBER VOTERS: 5
//! # NUMBER UNIQUE ORDERS: 2
//! # ALTERNATIVE NAME 1: Soup
//! # ALTERNATIVE NAME 2: Bread
//! # ALTERNATIVE NAME 3: Fish
//! 3: 1,{2,3}
//! 2: 3
//! ```
//!
//! Nothing is guessed: a file that contradicts itself is refused, with the line and the reason. Header fields
//! that are not needed, header lines without a colon, and empty lines are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter;

use serde::{Deserialize, Serialize};

/// Most alternatives in an election: as many as a poll can have.
pub const MAX_ALTERNATIVES: usize = 1_000;

/// Most voters in an election.
pub const MAX_VOTERS: u32 = 1_000_000;

/// Longest piece of the file that is shown in an error, in characters.
const MAX_SHOWN: usize = 40;

/// An election, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Election {
    /// `TITLE`; may be empty.
    pub title: String,
    /// `FILE NAME`, PrefLib's name for the file; may be empty.
    pub file_name: String,
    /// `DATA TYPE`.
    pub data_type: DataType,
    /// The names; none is empty or there twice. Alternative number k of the file is at k − 1.
    pub alternatives: Vec<String>,
    /// The orders, as in the file.
    pub orders: Vec<Order>,
}

/// An order of alternatives, and how many voters gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Voters who gave this order, at least 1.
    pub count: u32,
    /// Groups of tied alternatives, best first, counted from 0, ascending within a group.
    pub ranking: Vec<Vec<u16>>,
    /// The order's line in the file, counted from 1.
    pub line: usize,
}

/// PrefLib's data types for orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// Strict orders, complete.
    Soc,
    /// Strict orders, incomplete.
    Soi,
    /// Orders with ties, complete.
    Toc,
    /// Orders with ties, incomplete.
    Toi,
}

impl DataType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Soc, Self::Soi, Self::Toc, Self::Toi];

    /// PrefLib's name, which is also the end of the file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Soc => "soc",
            Self::Soi => "soi",
            Self::Toc => "toc",
            Self::Toi => "toi",
        }
    }

    /// Whether alternatives may be tied.
    pub fn has_ties(self) -> bool {
        matches!(self, Self::Toc | Self::Toi)
    }

    /// Whether each order names all alternatives.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Soc | Self::Toc)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Election {
    /// Reads a file.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines =
            (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()).peekable();
        let mut fields = Fields::default();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with('#')) {
            fields.read_line(line, number)?;
        }
        let end_of_header = lines.peek().map_or_else(|| text.lines().count().max(1), |(number, _)| *number);
        let header = Header::check(fields, end_of_header)?;

        let mut orders = Vec::new();
        for (number, line) in lines {
            orders
                .push(header.read_order(line, number).map_err(|reason| ReadError { line: number, reason })?);
        }
        header.check_sums(&orders)?;
        let Header { title, file_name, data_type, alternatives, .. } = header;
        Ok(Self { title, file_name, data_type, alternatives, orders })
    }

    /// One ranking per voter, in the file's order.
    pub fn ballots(&self) -> impl Iterator<Item = &[Vec<u16>]> {
        self.orders.iter().flat_map(|order| iter::repeat_n(order.ranking.as_slice(), order.count as usize))
    }
}

/// Where and why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ReadError {
    /// The line, counted from 1. For something missing, the line before which it should be.
    pub line: usize,
    /// The rule that is broken.
    pub reason: Reason,
}

/// The rules for a file. Alternatives are numbered from 1 here, as in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A header field that is needed is not there.
    #[error("the header has no line `# {0}: …`")]
    MissingField(&'static str),
    /// A header field that is needed is there twice.
    #[error("the header says `# {field}` a second time (first on line {first})")]
    RepeatedField {
        /// The field.
        field: &'static str,
        /// The line of the first one.
        first: usize,
    },
    /// A header line among the orders.
    #[error("a header line after the first order: header lines go first")]
    HeaderAfterOrders,
    /// A data type other than the ordinal ones.
    #[error("the data type is {0:?}; only soc, soi, toc and toi can be read")]
    UnsupportedDataType(String),
    /// A header field that should be a number is not.
    #[error("`# {field}` is {value:?}, which is not a whole number")]
    FieldNotANumber {
        /// The field.
        field: &'static str,
        /// What is there instead.
        value: String,
    },
    /// An election without alternatives.
    #[error("there are no alternatives")]
    NoAlternatives,
    /// More alternatives than [`MAX_ALTERNATIVES`].
    #[error("there are {0} alternatives; at most {MAX_ALTERNATIVES} can be read")]
    TooManyAlternatives(u64),
    /// More voters than [`MAX_VOTERS`].
    #[error("there are {0} voters; at most {MAX_VOTERS} can be read")]
    TooManyVoters(u64),
    /// A name for something that is not the number of an alternative.
    #[error("a name for alternative {0:?}, but alternatives are numbered from 1 to NUMBER ALTERNATIVES")]
    NameWithoutAlternative(String),
    /// An alternative with two names.
    #[error("alternative {number} has a name already, on line {first}")]
    NamedTwice {
        /// The alternative.
        number: u16,
        /// The line of its first name.
        first: usize,
    },
    /// Two alternatives with one name.
    #[error("alternative {number} has the same name as alternative {other}: {name:?}")]
    NameTaken {
        /// The alternative.
        number: u16,
        /// The one that has the name already.
        other: u16,
        /// The name.
        name: String,
    },
    /// An alternative whose name is empty.
    #[error("the name of alternative {0} is empty")]
    EmptyName(u16),
    /// An alternative without a name.
    #[error("the header has no line `# ALTERNATIVE NAME {0}: …`")]
    MissingName(u16),
    /// An order without a colon.
    #[error("not an order: expected the number of voters, a colon and alternatives, as in `3: 1,2`")]
    NotAnOrder,
    /// A number of voters that is not a number.
    #[error("the number of voters is {0:?}, which is not a whole number")]
    CountNotANumber(String),
    /// An order that nobody gave.
    #[error("the number of voters is 0: leave the line out")]
    CountZero,
    /// An order without alternatives.
    #[error("the order names no alternative")]
    EmptyOrder,
    /// Braces with nothing between them.
    #[error("the order has empty braces")]
    EmptyGroup,
    /// Nothing between two commas, or between a comma and an end.
    #[error("the order has a comma with no alternative beside it")]
    EmptyPlace,
    /// Braces within braces.
    #[error("the order opens a brace within braces")]
    NestedBrace,
    /// An opening brace without its closing one.
    #[error("the order opens a brace and does not close it")]
    UnclosedBrace,
    /// A closing brace without its opening one.
    #[error("the order closes a brace that it did not open")]
    UnopenedBrace,
    /// Something that is not the number of an alternative.
    #[error("{text:?} is not an alternative: they are numbered from 1 to {alternatives}")]
    UnknownAlternative {
        /// What is there instead.
        text: String,
        /// The number of alternatives.
        alternatives: usize,
    },
    /// An alternative that is in an order twice.
    #[error("the order names alternative {0} twice")]
    AlternativeTwice(u16),
    /// A tie where the data type has none.
    #[error("the order has a tie, but the data type {0} has none")]
    TieInStrictOrder(DataType),
    /// Alternatives left out where the data type does not allow it.
    #[error(
        "the order names {named} of {alternatives} alternatives, but those of data type {data_type} name all"
    )]
    IncompleteOrder {
        /// The data type.
        data_type: DataType,
        /// Alternatives in the order.
        named: usize,
        /// Alternatives in the election.
        alternatives: usize,
    },
    /// The orders' voters do not add up.
    #[error("`# NUMBER VOTERS` is {stated}, but the orders' voters add up to {counted}")]
    WrongNumberOfVoters {
        /// What the header says.
        stated: u64,
        /// What the orders say.
        counted: u64,
    },
    /// There are more or fewer orders.
    #[error("`# NUMBER UNIQUE ORDERS` is {stated}, but there are {counted} orders")]
    WrongNumberOfOrders {
        /// What the header says.
        stated: u64,
        /// Lines with orders.
        counted: u64,
    },
}

const FILE_NAME: &str = "FILE NAME";
const TITLE: &str = "TITLE";
const DATA_TYPE: &str = "DATA TYPE";
const NUMBER_ALTERNATIVES: &str = "NUMBER ALTERNATIVES";
const NUMBER_VOTERS: &str = "NUMBER VOTERS";
const NUMBER_UNIQUE_ORDERS: &str = "NUMBER UNIQUE ORDERS";
const ALTERNATIVE_NAME: &str = "ALTERNATIVE NAME ";

/// The header fields that must be there.
const FIELDS: [&str; 6] =
    [FILE_NAME, TITLE, DATA_TYPE, NUMBER_ALTERNATIVES, NUMBER_VOTERS, NUMBER_UNIQUE_ORDERS];

/// What the header's lines say, before it is known whether they fit together.
#[derive(Default)]
struct Fields<'a> {
    /// Value and line of each field in [`FIELDS`].
    values: BTreeMap<&'static str, (&'a str, usize)>,
    /// Number as written, name and line of each alternative.
    names: Vec<(&'a str, &'a str, usize)>,
}

impl<'a> Fields<'a> {
    fn read_line(&mut self, line: &'a str, number: usize) -> Result<(), ReadError> {
        let Some((key, value)) = line.trim_start_matches('#').split_once(':') else { return Ok(()) };
        let (key, value) = (key.trim(), value.trim());
        if let Some(alternative) = key.strip_prefix(ALTERNATIVE_NAME) {
            self.names.push((alternative.trim(), value, number));
        } else if let Some(field) = FIELDS.into_iter().find(|field| *field == key)
            && let Some((_, first)) = self.values.insert(field, (value, number))
        {
            return Err(ReadError { line: number, reason: Reason::RepeatedField { field, first } });
        }
        Ok(())
    }

    /// Value and line of `field`, which should be before `end_of_header`.
    fn value(&self, field: &'static str, end_of_header: usize) -> Result<(&'a str, usize), ReadError> {
        let missing = ReadError { line: end_of_header, reason: Reason::MissingField(field) };
        self.values.get(field).copied().ok_or(missing)
    }

    /// The number in `field`, and its line.
    fn number(&self, field: &'static str, end_of_header: usize) -> Result<(u64, usize), ReadError> {
        let (value, line) = self.value(field, end_of_header)?;
        let reason = || Reason::FieldNotANumber { field, value: shown(value) };
        Ok((whole_number(value).ok_or_else(|| ReadError { line, reason: reason() })?, line))
    }

    /// The names of all `count` alternatives.
    fn alternatives(&self, count: usize, end_of_header: usize) -> Result<Vec<String>, ReadError> {
        let mut named: BTreeMap<u16, (&str, usize)> = BTreeMap::new();
        let mut taken: BTreeMap<&str, u16> = BTreeMap::new();
        for (number, name, line) in &self.names {
            let refuse = |reason| Err(ReadError { line: *line, reason });
            let Some(number) = alternative(number, count) else {
                return refuse(Reason::NameWithoutAlternative(shown(number)));
            };
            if name.is_empty() {
                return refuse(Reason::EmptyName(number));
            }
            if let Some((_, first)) = named.insert(number, (name, *line)) {
                return refuse(Reason::NamedTwice { number, first });
            }
            if let Some(other) = taken.insert(name, number) {
                return refuse(Reason::NameTaken { number, other, name: shown(name) });
            }
        }
        let name = |number: u16| match named.get(&number) {
            Some((name, _)) => Ok((*name).to_owned()),
            None => Err(ReadError { line: end_of_header, reason: Reason::MissingName(number) }),
        };
        (1..).take(count).map(name).collect()
    }
}

/// A header that fits together.
struct Header {
    title: String,
    file_name: String,
    data_type: DataType,
    alternatives: Vec<String>,
    /// With the line that states it.
    voters: (u64, usize),
    /// With the line that states it.
    unique_orders: (u64, usize),
}

impl Header {
    fn check(fields: Fields<'_>, end: usize) -> Result<Self, ReadError> {
        let (file_name, _) = fields.value(FILE_NAME, end)?;
        let (title, _) = fields.value(TITLE, end)?;
        let (name, line) = fields.value(DATA_TYPE, end)?;
        let unsupported = || ReadError { line, reason: Reason::UnsupportedDataType(shown(name)) };
        let data_type = DataType::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unsupported)?;

        let (alternatives, line) = fields.number(NUMBER_ALTERNATIVES, end)?;
        if alternatives == 0 {
            return Err(ReadError { line, reason: Reason::NoAlternatives });
        }
        if alternatives > MAX_ALTERNATIVES as u64 {
            return Err(ReadError { line, reason: Reason::TooManyAlternatives(alternatives) });
        }
        let voters = fields.number(NUMBER_VOTERS, end)?;
        if voters.0 > u64::from(MAX_VOTERS) {
            return Err(ReadError { line: voters.1, reason: Reason::TooManyVoters(voters.0) });
        }
        Ok(Self {
            title: title.to_owned(),
            file_name: file_name.to_owned(),
            data_type,
            alternatives: fields.alternatives(alternatives as usize, end)?,
            voters,
            unique_orders: fields.number(NUMBER_UNIQUE_ORDERS, end)?,
        })
    }

    /// Reads `count: a,b,{c,d}`.
    fn read_order(&self, text: &str, line: usize) -> Result<Order, Reason> {
        if text.starts_with('#') {
            return Err(Reason::HeaderAfterOrders);
        }
        let (count, order) = text.split_once(':').ok_or(Reason::NotAnOrder)?;
        let count = whole_number(count.trim()).ok_or_else(|| Reason::CountNotANumber(shown(count.trim())))?;
        if count == 0 {
            return Err(Reason::CountZero);
        }
        let count = u32::try_from(count)
            .ok()
            .filter(|count| *count <= MAX_VOTERS)
            .ok_or(Reason::TooManyVoters(count))?;
        Ok(Order { count, ranking: self.read_ranking(order)?, line })
    }

    fn read_ranking(&self, text: &str) -> Result<Vec<Vec<u16>>, Reason> {
        if text.trim().is_empty() {
            return Err(Reason::EmptyOrder);
        }
        let mut named = BTreeSet::new();
        let mut ranking = Vec::new();
        for place in places(text)? {
            let mut group = Vec::new();
            for text in place.split(',').map(str::trim) {
                if text.is_empty() {
                    return Err(Reason::EmptyPlace);
                }
                let alternatives = self.alternatives.len();
                let unknown = || Reason::UnknownAlternative { text: shown(text), alternatives };
                let number = alternative(text, alternatives).ok_or_else(unknown)?;
                if !named.insert(number) {
                    return Err(Reason::AlternativeTwice(number));
                }
                group.push(number - 1);
            }
            if group.len() > 1 && !self.data_type.has_ties() {
                return Err(Reason::TieInStrictOrder(self.data_type));
            }
            group.sort_unstable();
            ranking.push(group);
        }
        let (named, alternatives) = (named.len(), self.alternatives.len());
        if self.data_type.is_complete() && named < alternatives {
            return Err(Reason::IncompleteOrder { data_type: self.data_type, named, alternatives });
        }
        Ok(ranking)
    }

    fn check_sums(&self, orders: &[Order]) -> Result<(), ReadError> {
        let (stated, line) = self.unique_orders;
        let counted = orders.len() as u64;
        if stated != counted {
            return Err(ReadError { line, reason: Reason::WrongNumberOfOrders { stated, counted } });
        }
        let (stated, line) = self.voters;
        let counted = orders.iter().map(|order| u64::from(order.count)).sum();
        if stated != counted {
            return Err(ReadError { line, reason: Reason::WrongNumberOfVoters { stated, counted } });
        }
        Ok(())
    }
}

/// Takes an order apart at the commas outside of braces: single alternatives, or what stands within braces.
fn places(text: &str) -> Result<Vec<&str>, Reason> {
    let mut places = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(opened) = rest.strip_prefix('{') {
            let (group, after) = opened.split_once('}').ok_or(Reason::UnclosedBrace)?;
            if group.contains('{') {
                return Err(Reason::NestedBrace);
            }
            if group.trim().is_empty() {
                return Err(Reason::EmptyGroup);
            }
            places.push(group);
            rest = after.trim_start();
        } else {
            // What does not belong in a place by itself, like "1{2", is refused as an alternative.
            let (place, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if place.contains('}') && !place.contains('{') {
                return Err(Reason::UnopenedBrace);
            }
            places.push(place);
            rest = after;
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => return Ok(places),
            None if rest.starts_with('}') => return Err(Reason::UnopenedBrace),
            None => return Err(Reason::NotAnOrder),
        }
    }
}

/// The alternative's number, from 1 to `alternatives`.
fn alternative(text: &str, alternatives: usize) -> Option<u16> {
    let number = u16::try_from(whole_number(text)?).ok()?;
    (1..=alternatives).contains(&usize::from(number)).then_some(number)
}

/// A number written in digits only: no sign.
fn whole_number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// As much of `text` as fits in an error.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEBIAN_LOGO: &str = include_str!("../examples/debian-logo.soi");

    const LUNCH: &str = "\
# FILE NAME: lunch.toi
# TITLE: Lunch: today
# DATA TYPE: toi
# NUMBER ALTERNATIVES: 3
# NUMBER VOTERS: 5
# NUMBER UNIQUE ORDERS: 2
# ALTERNATIVE NAME 1: Soup
# ALTERNATIVE NAME 2: Bread
# ALTERNATIVE NAME 3: Fish
3: 1,{3,2}
2: 3
";

    #[test]
    fn an_election_with_ties() {
        let election = Election::read(LUNCH).unwrap();
        let expected = Election {
            title: "Lunch: today".to_owned(),
            file_name: "lunch.toi".to_owned(),
            data_type: DataType::Toi,
            alternatives: ["Soup", "Bread", "Fish"].map(str::to_owned).to_vec(),
            orders: vec![
                Order { count: 3, ranking: vec![vec![0], vec![1, 2]], line: 10 },
                Order { count: 2, ranking: vec![vec![2]], line: 11 },
            ],
        };
        assert_eq!(election, expected);
        let ballots: Vec<_> = election.ballots().collect();
        let (first, second) = (vec![vec![0], vec![1, 2]], vec![vec![2]]);
        assert_eq!(ballots, [&first, &first, &first, &second, &second].map(Vec::as_slice));
    }

    #[test]
    fn the_debian_logo() {
        let election = Election::read(DEBIAN_LOGO).unwrap();
        assert_eq!((election.title.as_str(), election.data_type), ("Debian Logo", DataType::Soi));
        assert_eq!(election.alternatives.len(), 8);
        assert_eq!(election.alternatives[1], "Swirl");
        assert_eq!(election.orders.len(), 125);
        assert_eq!(election.orders[0], Order { count: 4, ranking: vec![vec![1], vec![6]], line: 21 });
        assert_eq!(election.ballots().count(), 143);
    }

    #[test]
    fn spaces_line_ends_and_other_header_lines_do_not_matter() {
        let plain = Election::read(LUNCH).unwrap();
        let loose = LUNCH.replace("3: 1,{3,2}", "  3 :  1 , { 3 ,2 }  ").replace("# TITLE", "#TITLE");
        let other = format!("\u{feff}{}", loose.replace('\n', "\r\n"));
        assert_eq!(Election::read(&other).unwrap(), plain);
        let more = LUNCH.replacen("# DATA TYPE", "#\n# RELATES TO: \n# a comment\n\n# DATA TYPE", 1);
        assert_eq!(Election::read(&more).unwrap().alternatives, plain.alternatives);
    }

    /// Replaces one piece of a good file, and expects the line and the reason.
    #[test]
    fn every_rule() {
        use Reason::*;
        let unknown = |text: &str| UnknownAlternative { text: text.to_owned(), alternatives: 3 };
        let not_a_number = |field, value: &str| FieldNotANumber { field, value: value.to_owned() };
        let incomplete = |data_type| IncompleteOrder { data_type, named: 1, alternatives: 3 };
        let cases: Vec<(&str, &str, usize, Reason)> = vec![
            ("# FILE NAME: lunch.toi", "#", 10, MissingField("FILE NAME")),
            ("# TITLE: Lunch: today", "#", 10, MissingField("TITLE")),
            ("# DATA TYPE: toi", "#", 10, MissingField("DATA TYPE")),
            ("# NUMBER ALTERNATIVES: 3", "#", 10, MissingField("NUMBER ALTERNATIVES")),
            ("# NUMBER VOTERS: 5", "#", 10, MissingField("NUMBER VOTERS")),
            ("# NUMBER UNIQUE ORDERS: 2", "#", 10, MissingField("NUMBER UNIQUE ORDERS")),
            ("# DATA TYPE: toi", "# TITLE: x", 3, RepeatedField { field: "TITLE", first: 2 }),
            ("2: 3\n", "# TITLE: x", 11, HeaderAfterOrders),
            ("TYPE: toi", "TYPE: cat", 3, UnsupportedDataType("cat".to_owned())),
            ("TYPE: toi", "TYPE: wmd", 3, UnsupportedDataType("wmd".to_owned())),
            ("TYPE: toi", "TYPE: ", 3, UnsupportedDataType(String::new())),
            ("ALTERNATIVES: 3", "ALTERNATIVES: three", 4, not_a_number("NUMBER ALTERNATIVES", "three")),
            ("VOTERS: 5", "VOTERS: +5", 5, not_a_number("NUMBER VOTERS", "+5")),
            ("ORDERS: 2", "ORDERS: ", 6, not_a_number("NUMBER UNIQUE ORDERS", "")),
            ("ALTERNATIVES: 3", "ALTERNATIVES: 0", 4, NoAlternatives),
            ("ALTERNATIVES: 3", "ALTERNATIVES: 1001", 4, TooManyAlternatives(1_001)),
            ("VOTERS: 5", "VOTERS: 1000001", 5, TooManyVoters(1_000_001)),
            ("NAME 3:", "NAME 4:", 9, NameWithoutAlternative("4".to_owned())),
            ("NAME 3:", "NAME 0:", 9, NameWithoutAlternative("0".to_owned())),
            ("NAME 3:", "NAME x:", 9, NameWithoutAlternative("x".to_owned())),
            ("NAME 3:", "NAME 2:", 9, NamedTwice { number: 2, first: 8 }),
            ("Fish", "Soup", 9, NameTaken { number: 3, other: 1, name: "Soup".to_owned() }),
            ("Fish", " ", 9, EmptyName(3)),
            ("# ALTERNATIVE NAME 2: Bread", "#", 10, MissingName(2)),
            ("2: 3\n", "2 3\n", 11, NotAnOrder),
            ("1,{3,2}", "1,{3}2", 10, NotAnOrder),
            ("2: 3\n", "two: 3", 11, CountNotANumber("two".to_owned())),
            ("2: 3\n", "-2: 3", 11, CountNotANumber("-2".to_owned())),
            ("2: 3\n", ": 3", 11, CountNotANumber(String::new())),
            ("2: 3\n", "0: 3", 11, CountZero),
            ("2: 3\n", "1000001: 3", 11, TooManyVoters(1_000_001)),
            ("2: 3\n", "4294967298: 3", 11, TooManyVoters(4_294_967_298)),
            ("2: 3\n", "2: ", 11, EmptyOrder),
            ("{3,2}", "{ }", 10, EmptyGroup),
            ("{3,2}", "{3,}", 10, EmptyPlace),
            ("1,{3,2}", "1,", 10, EmptyPlace),
            ("1,{3,2}", ",1", 10, EmptyPlace),
            ("{3,2}", "{3,{2}}", 10, NestedBrace),
            ("{3,2}", "{3,2", 10, UnclosedBrace),
            ("{3,2}", "3,2}", 10, UnopenedBrace),
            ("{3,2}", "{3,2}}", 10, UnopenedBrace),
            ("{3,2}", "{3,4}", 10, unknown("4")),
            ("{3,2}", "{3,0}", 10, unknown("0")),
            ("{3,2}", "{3,99999999999999999999}", 10, unknown("99999999999999999999")),
            ("{3,2}", "3;2", 10, unknown("3;2")),
            ("1,{3,2}", "1{3}", 10, unknown("1{3}")),
            ("{3,2}", "{3,1}", 10, AlternativeTwice(1)),
            ("TYPE: toi", "TYPE: soi", 10, TieInStrictOrder(DataType::Soi)),
            ("TYPE: toi", "TYPE: soc", 10, TieInStrictOrder(DataType::Soc)),
            ("TYPE: toi", "TYPE: toc", 11, incomplete(DataType::Toc)),
            ("VOTERS: 5", "VOTERS: 6", 5, WrongNumberOfVoters { stated: 6, counted: 5 }),
            ("ORDERS: 2", "ORDERS: 3", 6, WrongNumberOfOrders { stated: 3, counted: 2 }),
        ];
        for (piece, other, line, reason) in cases {
            assert_eq!(LUNCH.matches(piece).count(), 1, "{piece:?} should be in the file once");
            let refused = Election::read(&LUNCH.replace(piece, other));
            assert_eq!(refused, Err(ReadError { line, reason }), "{piece:?} replaced by {other:?}");
        }
        let incomplete_soc = LUNCH.replace("toi", "soc").replace("1,{3,2}", "1,3,2");
        let reason = incomplete(DataType::Soc);
        assert_eq!(Election::read(&incomplete_soc), Err(ReadError { line: 11, reason }));
        let missing = ReadError { line: 1, reason: MissingField("FILE NAME") };
        assert_eq!(Election::read(""), Err(missing));
    }

    #[test]
    fn errors_name_the_line_and_stay_short() {
        let error = Election::read(&LUNCH.replace("2: 3\n", "0: 3")).unwrap_err();
        assert_eq!(error.to_string(), "line 11: the number of voters is 0: leave the line out");
        let long = LUNCH.replace("2: 3\n", &format!("2: {}", "é".repeat(10_000)));
        assert!(Election::read(&long).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn a_group_of_one_is_no_tie() {
        let single = LUNCH.replace("toi", "soi").replace("{3,2}", "{3}");
        assert_eq!(Election::read(&single).unwrap().orders[0].ranking, [[0], [2]]);
    }

    /// Whatever is read keeps its word.
    fn assert_sound(election: &Election) {
        assert!(election.ballots().count() <= MAX_VOTERS as usize);
        for order in &election.orders {
            let mut named = order.ranking.concat();
            assert!(order.count > 0 && !named.is_empty());
            assert!(order.ranking.iter().all(|group| !group.is_empty() && group.is_sorted()));
            named.sort_unstable();
            named.dedup();
            assert_eq!(named.len(), order.ranking.concat().len());
            assert!(named.iter().all(|option| usize::from(*option) < election.alternatives.len()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn damaged_files_never_panic(
            large in any::<bool>(),
            damages in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..4u8, "[#:,{}0-9a-z \n\r\u{feff}é]{1,3}"),
                1..6,
            ),
        ) {
            let mut text: Vec<char> = if large { DEBIAN_LOGO } else { LUNCH }.chars().collect();
            for (at, kind, piece) in damages {
                let at = at.index(text.len());
                match kind {
                    0 => text.splice(at..at, piece.chars()).for_each(drop),
                    1 => text.splice(at..=at, piece.chars()).for_each(drop),
                    2 => text.splice(at..(at + piece.len()).min(text.len()), []).for_each(drop),
                    _ if at > 0 => text.truncate(at),
                    _ => {}
                }
                if text.is_empty() {
                    break;
                }
            }
            if let Ok(election) = Election::read(&text.into_iter().collect::<String>()) {
                assert_sound(&election);
            }
        }

        #[test]
        fn any_text_never_panics(text in "(# ?)?[A-Z :]{0,12}[0-9:,{} \n]{0,40}|\\PC{0,60}") {
            let _ = Election::read(&text);
            let _ = Election::read(&LUNCH.replace("1,{3,2}", &text));
        }
    }
}
