//! `conclave init`: a home for a node.

use super::{failure::Outcome, key::PassphraseFlag, session::Session};
use crate::{
    config::file::{FILE_NAME, Template},
    keys,
};
use clap::Parser;
use serde::Serialize;
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

/// Makes a home for a node: its keys and a commented configuration
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave --home ./anna init --validator anna")]
pub(crate) struct Init {
    /// Also make a validator key; NAME is what the network will call the validator
    #[arg(long, value_name = "NAME")]
    validator: Option<String>,
    /// Lock the keys with a passphrase
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseFlag,
}

/// What was made.
#[derive(Serialize)]
pub(crate) struct Made {
    home: PathBuf,
    peer_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator: Option<MadeValidator>,
}

#[derive(Serialize)]
struct MadeValidator {
    name: String,
    key: String,
}

impl Init {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let home = &session.home;
        let passphrase = self.encrypt.then(|| self.passphrase.source().choose("the new keys")).transpose()?;
        let node_key = keys::generate()?;
        keys::create(&home.join("keys/node.key"), &node_key, passphrase.as_ref())?;
        let mut made = Made {
            home: home.clone(),
            peer_id: keys::node_identity(&node_key).public().to_peer_id().to_string(),
            validator: None,
        };
        let mut template = Template::default();
        if let Some(name) = self.validator {
            let key = keys::generate()?;
            keys::create(&home.join("keys/validator.key"), &key, passphrase.as_ref())?;
            template.validator_key = Some("keys/validator.key".into());
            made.validator = Some(MadeValidator { name, key: key.public().to_string() });
        }
        write_config(home, &template)?;
        session.output.show(&made, describe)
    }
}

/// Writes the configuration file of a home, which must not have one.
pub(crate) fn write_config(home: &Path, template: &Template) -> Outcome {
    let mut file = OpenOptions::new().write(true).create_new(true).open(home.join(FILE_NAME))?;
    file.write_all(template.text().as_bytes())?;
    Ok(file.sync_all()?)
}

fn describe(made: &Made) -> String {
    let home = made.home.display();
    let mut text = format!("made {home}\npeer id {}\n", made.peer_id);
    if let Some(validator) = &made.validator {
        let (name, key) = (&validator.name, &validator.key);
        text.push_str(&format!(
            "validator {name}, public key {key}\n\nFor the genesis file:\n  --validator {name}={key}\n"
        ));
    }
    text.push_str(&format!(
        "\nNext: put the network's genesis.toml into {home}, then\n  conclave --home {home} run\n"
    ));
    text
}
