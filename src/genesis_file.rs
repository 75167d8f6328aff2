//! The genesis file in TOML: read, checked with the line of whatever is wrong, and written.
//!
//! ```toml
//! format = 1
//! name = "lunch"
//! faulty = "third"      # or "half", "all-but-one", or a number
//! delta_ms = 500        # Δ: bounds how long a message takes between two honest nodes
//! created_ms = 1700000000000
//!
//! [[validators]]
//! name = "anna"
//! key = "<64 hexadecimal digits, as `conclave key show` prints them>"
//! ```
//! The network id is the hash of what the file says, not of its text: comments and the order of fields are free.

use crate::config::{
    file::quoted,
    located::{self, FileError},
};
use conclave_ledger::{
    genesis::{Engine, Genesis},
    proof_of_work::Parameters,
    validators::FaultBound,
};
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

/// Why a genesis file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is one.
    #[error("{} exists already, and a genesis file is never overwritten: name another, or move it away", .0.display())]
    Exists(PathBuf),
    /// As the system says.
    #[error("cannot write the genesis file {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

/// Reads and checks a genesis file.
///
/// # Errors
/// With file, line and field.
pub fn read(path: &Path) -> Result<Genesis, FileError> {
    parse(path, &located::read_text(path)?)
}

/// Reads and checks the text of a genesis file, which errors call `path`.
///
/// # Errors
/// With file, line and field.
pub fn parse(path: &Path, text: &str) -> Result<Genesis, FileError> {
    let genesis: Genesis = located::parse(path, text)?;
    genesis.check().map_err(|error| located::broken_rule(path, text, &error.field, &error.rule))?;
    Ok(genesis)
}

/// Writes a new genesis file with comments; an existing one is left alone.
///
/// # Errors
/// When there is one, or it cannot be written.
pub fn write(path: &Path, genesis: &Genesis) -> Result<(), WriteError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => WriteError::Exists(path.into()),
        _ => WriteError::Write(path.into(), error),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text(genesis).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The file's text, with comments.
pub fn text(genesis: &Genesis) -> String {
    let faulty = match genesis.faulty {
        FaultBound::Third => "\"third\"".to_owned(),
        FaultBound::Half => "\"half\"".to_owned(),
        FaultBound::AllButOne => "\"all-but-one\"".to_owned(),
        FaultBound::Exactly(number) => number.to_string(),
    };
    let limits = &genesis.limits;
    let (engine, deciding) = match genesis.engine {
        Engine::DolevStrong => (
            "\"dolev-strong\"",
            format!(
                "# Whether a height may finish as soon as a certificate is there, or only at the end of its last window.\n\
                 fast = {}\n\
                 # How many validators may be faulty: \"third\", \"half\", \"all-but-one\" of them, or a number.\n\
                 faulty = {faulty}\n",
                genesis.fast
            ),
        ),
        Engine::ProofOfWork => ("\"proof-of-work\"", String::new()),
    };
    let mut text = format!(
        r#"# The definition of a Conclave network. Its network id, which every signature carries, is
# {id}
# Give this very file to everybody who takes part; whoever changes a value defines another network.
format = {format}
name = {name}
# Which protocol decides.
engine = {engine}
{deciding}# Δ, in milliseconds: bounds how long a message, and the block it names, take between two honest nodes.
delta_ms = {delta}
# When the network was defined, in milliseconds since 1970; the first block is later.
created_ms = {created}
# Leading zero bits of the proof of work on transactions by senders unknown to the ledger.
stamp_bits = {stamp}
# Keys that may send without that proof of work from the start.
senders = [{senders}]

[limits]
# Largest transaction, in bytes.
transaction_bytes = {transaction_bytes}
# Largest sum of the transactions of a block, in bytes.
body_bytes = {body_bytes}
# How many heights ahead a transaction may expire at most.
expiry_heights = {expiry_heights}
# Fewest validators that governance may leave.
minimum_validators = {minimum_validators}
"#,
        id = genesis.network_id(),
        format = genesis.format,
        name = quoted(&genesis.name),
        delta = genesis.delta_ms,
        created = genesis.created_ms,
        stamp = genesis.stamp_bits,
        senders = genesis.senders.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", "),
        transaction_bytes = limits.transaction_bytes,
        body_bytes = limits.body_bytes,
        expiry_heights = limits.expiry_heights,
        minimum_validators = limits.minimum_validators,
    );
    if let Some(parameters) = &genesis.proof_of_work {
        text.push_str(&work_text(parameters));
    }
    if !genesis.validators.is_empty() {
        text.push_str("\n# Who decides, in the order of the first leaders.\n");
    }
    for validator in &genesis.validators {
        let (name, key) = (quoted(&validator.name), validator.key);
        text.push_str(&format!("[[validators]]\nname = {name}\nkey = \"{key}\"\n\n"));
    }
    for record in &genesis.records {
        let (kind, data) = (quoted(&record.kind), conclave_ledger::bytes::to_hex(&record.data.0));
        text.push_str(&format!("[[records]]\nkind = {kind}\ndata = \"{data}\"\n\n"));
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// The section of an open network.
fn work_text(parameters: &Parameters) -> String {
    format!(
        r#"
# Anyone may mine, and the branch on which most work was done is the chain.
[proof_of_work]
# Zero bits that hashes begin with at the start, and the fewest that are ever enough: each more doubles the work.
leading_zero_bits = {bits}
# Time between two blocks for which the target is made, in milliseconds.
block_interval_ms = {interval}
# So far behind its schedule the target has doubled, in milliseconds.
half_life_ms = {half_life}
# Whether blocks without transactions are mined.
mine_empty = {mine_empty}
# Blocks over the one that holds something before it is called final.
depth = {depth}
"#,
        bits = parameters.leading_zero_bits,
        interval = parameters.block_interval_ms,
        half_life = parameters.half_life_ms,
        mine_empty = parameters.mine_empty,
        depth = parameters.depth,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::{
        applications::records::Record,
        bytes::Bytes,
        genesis::{Engine, FORMAT, Limits},
        keys::SecretKey,
        validators::Validator,
    };

    fn genesis(validators: u8) -> Genesis {
        let key = |number| SecretKey::from_seed([number; 32]).public();
        Genesis {
            format: FORMAT,
            name: "an \"odd\" name".into(),
            engine: Engine::DolevStrong,
            fast: true,
            faulty: FaultBound::Third,
            delta_ms: 500,
            created_ms: 1_700_000_000_000,
            stamp_bits: 16,
            proof_of_work: None,
            limits: Limits::default(),
            validators: (0..validators)
                .map(|number| Validator { name: format!("v{number}"), key: key(number) })
                .collect(),
            senders: vec![key(200)],
            records: vec![Record { kind: "note".into(), data: Bytes(vec![1, 2, 255]) }],
        }
    }

    fn refusal(text: &str) -> String {
        parse(Path::new("genesis.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_reads_back_with_the_same_id() {
        for faulty in [FaultBound::Third, FaultBound::Half, FaultBound::AllButOne, FaultBound::Exactly(2)] {
            let genesis = Genesis { faulty, ..genesis(4) };
            let text = text(&genesis);
            assert_eq!(parse(Path::new("g"), &text).unwrap(), genesis, "{text}");
            assert!(text.contains(&genesis.network_id().to_string()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genesis.toml");
        write(&path, &genesis(1)).unwrap();
        assert_eq!(read(&path).unwrap(), genesis(1));
        assert!(matches!(write(&path, &genesis(2)), Err(WriteError::Exists(_))));
    }

    /// Replaces a line of a good file, by what it begins with, and gives the new line's number.
    fn with_line(nth: usize, begins: &str, replacement: &str) -> (String, usize) {
        let text = text(&genesis(4));
        let lines: Vec<&str> = text.lines().collect();
        let at = (0..lines.len()).filter(|at| lines[*at].starts_with(begins)).nth(nth).unwrap();
        let replaced = [&lines[..at], &[replacement], &lines[at + 1..]].concat().join("\n");
        (replaced, at + 1)
    }

    #[test]
    fn every_error_names_the_line_and_the_field() {
        let key_of_v0 = format!("key = \"{}\"", genesis(1).validators[0].key);
        for (nth, begins, replacement, field, what) in [
            (0, "fast", "fats = true", "fats", "unknown field `fats`"),
            (0, "delta_ms", "delta_ms = \"soon\"", "delta_ms", "invalid type: string"),
            (0, "delta_ms", "delta_ms = 0", "delta_ms", "1 to 3,600,000"),
            (0, "created_ms", "created_ms = 253402300800000", "created_ms", "before the year 10,000"),
            (0, "faulty", "faulty = 4", "faulty", "4 faulty of 4"),
            (0, "format", "format = 9", "format", "format 9"),
            (2, "name", "name = \"v0\"", "validators[1].name", "already that of validators[0]"),
            (2, "key", &key_of_v0, "validators[2].key", "already that of validators[0]"),
            (1, "key", "key = \"abc\"", "validators[1].key", "expected 64 hexadecimal digits, found 3"),
            (3, "key", "keys = 1", "validators[3].keys", "unknown field"),
            (0, "body_bytes", "body_bytes = 1", "limits.body_bytes", "at least one transaction"),
            (0, "stamp_bits", "stamp_bits = 99", "stamp_bits", "days"),
            (0, "kind", "kind = \"\"", "records[0]", "kind"),
        ] {
            let (text, line) = with_line(nth, begins, replacement);
            let error = refusal(&text);
            assert!(error.contains(field) && error.contains(what), "{replacement}: {error}");
            let line = if field == "records[0]" { line - 1 } else { line };
            assert!(error.starts_with(&format!("genesis.toml:{line}:")), "line {line}: {error}");
        }
    }

    #[test]
    fn an_open_network_reads_back_and_its_errors_have_a_place() {
        let open = |parameters: Parameters| Genesis {
            engine: Engine::ProofOfWork,
            proof_of_work: Some(parameters),
            validators: Vec::new(),
            ..genesis(0)
        };
        let parameters = Parameters { leading_zero_bits: 9, mine_empty: true, ..Parameters::default() };
        let text = text(&open(parameters.clone()));
        assert_eq!(parse(Path::new("g"), &text).unwrap(), open(parameters));
        let line_of = |begins: &str| text.lines().position(|line| line.starts_with(begins)).unwrap() + 1;
        for (begins, replacement, field, what) in [
            ("leading_zero_bits", "leading_zero_bits = 0", "proof_of_work.leading_zero_bits", "1 to 200"),
            ("half_life_ms", "half_life_ms = 1", "proof_of_work.half_life_ms", "at least the block interval"),
            ("depth", "depth = 5000", "proof_of_work.depth", "1,024"),
            ("mine_empty", "mine_empti = true", "proof_of_work.mine_empti", "unknown field"),
            ("engine", "engine = \"dolev-strong\"", "proof_of_work", "validators decide here"),
        ] {
            let at = line_of(begins);
            let lines: Vec<&str> = text.lines().collect();
            let changed = [&lines[..at - 1], &[replacement], &lines[at..]].concat().join("\n");
            let error = refusal(&changed);
            assert!(error.contains(field) && error.contains(what), "{replacement}: {error}");
            if begins != "engine" {
                assert!(error.starts_with(&format!("genesis.toml:{at}:")), "line {at}: {error}");
            }
        }
        assert!(refusal(&text.replace("[proof_of_work]", "[limits.x]")).contains("genesis.toml:"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (text, _) = with_line(0, "created_ms", "");
        assert!(refusal(&text).contains("missing field `created_ms`"), "{}", refusal(&text));
        let (text, line) = with_line(1, "key", "");
        let error = refusal(&text);
        assert!(error.contains("missing field `key`") && error.contains("validators[1]"), "{error}");
        assert!(error.starts_with(&format!("genesis.toml:{}:", line - 2)), "{line}: {error}");
        assert!(
            refusal("format = 1\nname = \"x\"\ndelta_ms = 1\ncreated_ms = 0\nvalidators = []")
                .contains("1 to 1024 validators")
        );
        assert!(refusal("format = ").starts_with("genesis.toml:1:"));
    }
}
