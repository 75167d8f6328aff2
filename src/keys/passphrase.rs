//! Where a passphrase comes from: a file, the environment, or the terminal.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Environment variable that holds a passphrase.
pub const VARIABLE: &str = "CONCLAVE_PASSPHRASE";

/// A passphrase, erased when dropped and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase with this text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Its bytes, in UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read.
    #[error("cannot read the passphrase from {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// The terminal cannot be read.
    #[error("cannot read the passphrase from the terminal")]
    Terminal(#[source] std::io::Error),
    /// There is nobody to ask.
    #[error(
        "{0} needs a passphrase and there is no terminal to ask on: give --passphrase-file or set {VARIABLE}"
    )]
    NobodyToAsk(String),
    /// It is empty.
    #[error("the passphrase is empty: give one of at least one character")]
    Empty,
    /// The two entries differ.
    #[error("the two passphrases differ: try again")]
    Differ,
}

/// Where to get passphrases: the file if one is named, else the environment, else the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassphraseSource {
    /// A file whose first line is the passphrase.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// The passphrase that unlocks `what`.
    ///
    /// # Errors
    /// When there is none, with what to do.
    pub fn get(&self, what: &str) -> Result<Passphrase, PassphraseError> {
        match self.without_asking()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(what, "Passphrase"),
        }
    }

    /// A passphrase that will lock `what`; on the terminal it is asked for twice.
    ///
    /// # Errors
    /// When there is none, with what to do.
    pub fn choose(&self, what: &str) -> Result<Passphrase, PassphraseError> {
        if let Some(passphrase) = self.without_asking()? {
            return Ok(passphrase);
        }
        let first = ask(what, "New passphrase")?;
        let second = ask(what, "The same again")?;
        if first.as_bytes() == second.as_bytes() { Ok(first) } else { Err(PassphraseError::Differ) }
    }

    fn without_asking(&self) -> Result<Option<Passphrase>, PassphraseError> {
        if let Some(path) = &self.file {
            return read(path).map(Some);
        }
        match std::env::var(VARIABLE) {
            Ok(text) => check(text).map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn read(path: &Path) -> Result<Passphrase, PassphraseError> {
    let text = std::fs::read_to_string(path).map_err(|error| PassphraseError::File(path.into(), error))?;
    let text = Zeroizing::new(text);
    check(text.lines().next().unwrap_or_default().to_owned())
}

fn ask(what: &str, prompt: &str) -> Result<Passphrase, PassphraseError> {
    if !std::io::stdin().is_terminal() {
        return Err(PassphraseError::NobodyToAsk(what.into()));
    }
    check(rpassword::prompt_password(format!("{prompt} for {what}: ")).map_err(PassphraseError::Terminal)?)
}

fn check(text: String) -> Result<Passphrase, PassphraseError> {
    if text.is_empty() { Err(PassphraseError::Empty) } else { Ok(Passphrase::new(text)) }
}
