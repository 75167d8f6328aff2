//! `conclave key`: key files.

use super::{
    failure::{Failure, Outcome},
    output::table,
    session::Session,
};
use crate::keys::{self, KeyFile, PassphraseSource};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Makes and shows keys
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave key new keys/anna.key && conclave key show keys/anna.key")]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a key file, readable by its owner only
    #[command(after_help = "Example:\n  conclave key new anna.key --encrypt")]
    New {
        /// The file, which must not exist
        file: PathBuf,
        /// Lock it with a passphrase
        #[arg(long)]
        encrypt: bool,
        #[command(flatten)]
        passphrase: PassphraseFlag,
    },
    /// Prints the public key of a key file
    #[command(after_help = "Example:\n  conclave key show ~/.conclave/keys/validator.key")]
    Show {
        /// The file
        file: PathBuf,
        /// Also print the libp2p peer id, for a node key that is not locked (or whose passphrase is given)
        #[arg(long)]
        peer_id: bool,
        #[command(flatten)]
        passphrase: PassphraseFlag,
    },
    /// Lists the keys of the home
    #[command(after_help = "Example:\n  conclave --home node-1 key list")]
    List,
    /// Locks a key file with a passphrase, in place
    #[command(after_help = "Example:\n  conclave key encrypt ~/.conclave/keys/validator.key")]
    Encrypt {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseFlag,
    },
}

/// Where a passphrase comes from.
#[derive(Args, Clone, Debug)]
pub(crate) struct PassphraseFlag {
    /// File whose first line is the passphrase (else CONCLAVE_PASSPHRASE, else the terminal is asked)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFlag {
    /// The source that the flag names.
    pub(crate) fn source(&self) -> PassphraseSource {
        PassphraseSource { file: self.passphrase_file.clone() }
    }
}

#[derive(Serialize)]
struct Shown {
    file: PathBuf,
    public: String,
    encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
}

impl Key {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        match self.command {
            Command::New { file, encrypt, passphrase } => {
                let key = keys::generate()?;
                let passphrase =
                    encrypt.then(|| passphrase.source().choose(&file.display().to_string())).transpose()?;
                keys::create(&file, &key, passphrase.as_ref())?;
                session.output.show(&shown(&file)?, |shown| {
                    format!("made {}\npublic key {}", shown.file.display(), shown.public)
                })
            }
            Command::Show { file, peer_id, passphrase } => {
                let mut shown = shown(&file)?;
                if peer_id {
                    let key = keys::load(&file, &passphrase.source())?;
                    shown.peer_id = Some(keys::node_identity(&key).public().to_peer_id().to_string());
                }
                session.output.show(&shown, |shown| match &shown.peer_id {
                    Some(peer_id) => format!("{}\n{peer_id}", shown.public),
                    None => shown.public.clone(),
                })
            }
            Command::List => list(session),
            Command::Encrypt { file, passphrase } => {
                keys::lock(&file, &passphrase.source())?;
                session.output.show(&shown(&file)?, |shown| format!("locked {}", shown.file.display()))
            }
        }
    }
}

fn shown(file: &Path) -> Outcome<Shown> {
    let key = KeyFile::read(file)?;
    Ok(Shown {
        file: file.into(),
        public: key.public().to_string(),
        encrypted: key.is_encrypted(),
        peer_id: None,
    })
}

fn list(session: &Session) -> Outcome {
    let mut files = Vec::new();
    for folder in ["keys", "voters"] {
        find(&session.home.join(folder), &mut files);
    }
    if files.is_empty() {
        let advice =
            "Make one with `conclave init` or `conclave key new FILE`, or name another home with --home.";
        return Err(Failure::new(format!("there are no keys in {}", session.home.display())).advise(advice));
    }
    files.sort();
    let keys = files.iter().map(|file| shown(file)).collect::<Outcome<Vec<Shown>>>()?;
    session.output.show(&keys, |keys| {
        let row = |key: &Shown| {
            let name = key.file.strip_prefix(&session.home).unwrap_or(&key.file).display().to_string();
            vec![name, key.public.clone(), if key.encrypted { "encrypted" } else { "plain" }.into()]
        };
        table(&["FILE", "PUBLIC KEY", "KIND"], &keys.iter().map(row).collect::<Vec<_>>())
    })
}

/// Key files in a folder and those below it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "key") {
            files.push(path);
        }
    }
}
