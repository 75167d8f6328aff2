//! The homes of a network whose nodes run apart. The list of nodes is written last, into the client's home: a network
//! is either whole or not there.

use super::part_of_a_network;
use crate::{
    cli::{
        failure::{Context, Outcome},
        genesis, init,
        up::network::{FILE_NAME, Network, Node},
    },
    config::file::Template,
    genesis_file, keys,
};
use conclave_ledger::{
    bytes::to_hex,
    keys::SecretKey,
    validators::{FaultBound, Validator},
};
use std::{
    fs::OpenOptions,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Port on which nodes reach each other: the default of `run`.
const PORT: u16 = 7700;

/// Where a node's API listens: on every address of its machine or container, behind a token.
const API_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7780);

/// Name of the tracker, and of its home.
const TRACKER: &str = "tracker";

/// Name of the home for commands.
const CLIENT: &str = "client";

/// Name of the file with the APIs' token in each home.
const TOKEN_FILE: &str = "api-token";

/// What a network is to be like.
pub(super) struct Plan {
    pub(super) validators: u16,
    pub(super) observers: u16,
    pub(super) faulty: FaultBound,
    pub(super) delta_ms: u64,
}

/// A node whose keys are made.
struct Draft {
    name: String,
    peer_id: String,
    validator: Option<Validator>,
}

impl Draft {
    fn address(&self) -> String {
        address(&self.name, &self.peer_id)
    }
}

/// Where a node of this name is reached.
fn address(name: &str, peer_id: &str) -> String {
    format!("/dns4/{name}/tcp/{PORT}/p2p/{peer_id}")
}

/// The network whose homes are in `out`, if there is one.
///
/// # Errors
/// When its list cannot be read.
pub(super) fn read(out: &Path) -> Outcome<Option<Network>> {
    Network::read(&out.join(CLIENT))
}

/// Makes the homes; calls `give_away` before the list is written.
///
/// # Errors
/// When something of them is there already, or cannot be written.
pub(super) fn create(out: &Path, plan: &Plan, give_away: &dyn Fn() -> Outcome) -> Outcome<Network> {
    let names = |kind: &'static str, count| (1..=count).map(move |number| format!("{kind}-{number}"));
    let all = names("validator", plan.validators).chain(names("observer", plan.observers));
    for name in all.clone().chain([TRACKER.into(), CLIENT.into()]) {
        let home = out.join(name);
        // A folder may be there, a mounted volume say, but nothing may be in it.
        if std::fs::read_dir(&home).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(part_of_a_network(out, &home));
        }
        std::fs::create_dir_all(&home).context(|| format!("cannot make {}", home.display()))?;
    }
    let drafts = all.map(|name| draft(out, name)).collect::<Outcome<Vec<Draft>>>()?;
    let tracker = tracker(out)?;
    let validators: Vec<Validator> = drafts.iter().filter_map(|draft| draft.validator.clone()).collect();
    let genesis = genesis::new("testnet".into(), validators, plan.faulty, plan.delta_ms, true);
    let token = to_hex(&*keys::random::<32>()?);
    for draft in &drafts {
        let home = out.join(&draft.name);
        genesis::write(&home.join("genesis.toml"), &genesis)?;
        write_secret(&home.join(TOKEN_FILE), &token)?;
        init::write_config(&home, &template(draft, &drafts, &tracker))?;
    }
    let client = out.join(CLIENT);
    genesis_file::write(&client.join("genesis.toml"), &genesis)?;
    write_secret(&client.join(TOKEN_FILE), &token)?;
    init::write_config(
        &client,
        &Template { api_token_file: Some(TOKEN_FILE.into()), ..Template::default() },
    )?;
    let network = Network { network: genesis.network_id().to_string(), nodes: list(&drafts) };
    let partial = client.join(".network.json.new");
    std::fs::write(&partial, serde_json::to_vec_pretty(&network)?)?;
    give_away()?;
    std::fs::rename(&partial, client.join(FILE_NAME))?;
    Ok(network)
}

/// Makes a node's keys.
fn draft(out: &Path, name: String) -> Outcome<Draft> {
    let folder = out.join(&name).join("keys");
    let node_key = keys::generate()?;
    keys::create(&folder.join("node.key"), &node_key, None)?;
    let validator = if name.starts_with("validator") {
        let key = keys::generate()?;
        keys::create(&folder.join("validator.key"), &key, None)?;
        Some(Validator { name: name.clone(), key: key.public() })
    } else {
        None
    };
    Ok(Draft { name, peer_id: peer_id(&node_key), validator })
}

/// Makes the tracker's key; returns its address.
fn tracker(out: &Path) -> Outcome<String> {
    let key = keys::generate()?;
    keys::create(&out.join(TRACKER).join("keys/tracker.key"), &key, None)?;
    Ok(address(TRACKER, &peer_id(&key)))
}

fn peer_id(node_key: &SecretKey) -> String {
    keys::node_identity(node_key).public().to_peer_id().to_string()
}

/// The configuration of a node: all know the tracker, and validators know each other besides.
fn template(draft: &Draft, drafts: &[Draft], tracker: &str) -> Template {
    let others = drafts
        .iter()
        .filter(|other| draft.validator.is_some() && other.validator.is_some() && other.name != draft.name);
    Template {
        validator_key: draft.validator.as_ref().map(|_| "keys/validator.key".into()),
        peers: others.map(Draft::address).collect(),
        trackers: vec![tracker.to_owned()],
        api_listen: Some(API_LISTEN),
        api_token_file: Some(TOKEN_FILE.into()),
        api_hostnames: vec![draft.name.clone()],
        ..Template::default()
    }
}

/// Where the validators are: through them commands speak to the network.
fn list(drafts: &[Draft]) -> Vec<Node> {
    let node = |draft: &Draft| {
        draft.validator.as_ref().map(|validator| Node {
            name: draft.name.clone(),
            api: format!("http://{}:{}", draft.name, API_LISTEN.port()),
            peer_id: draft.peer_id.clone(),
            validator: validator.key.to_string(),
            address: draft.address(),
            gossip: None,
        })
    };
    drafts.iter().filter_map(node).collect()
}

/// Writes a file that only its owner can read, and that must not exist.
fn write_secret(path: &Path, text: &str) -> Outcome {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.context(|| format!("cannot make {}", path.display()))?;
    Ok(writeln!(file, "{text}").and_then(|()| file.sync_all())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{NodeConfig, file};

    const PLAN: Plan = Plan { validators: 4, observers: 1, faulty: FaultBound::Third, delta_ms: 250 };

    fn config(home: &Path) -> NodeConfig {
        NodeConfig::resolve(home, [file::read(home).unwrap()]).unwrap()
    }

    #[test]
    fn every_home_of_a_network_can_run_by_itself() {
        let out = tempfile::tempdir().unwrap();
        let network = create(out.path(), &PLAN, &|| Ok(())).unwrap();
        assert_eq!(read(out.path()).unwrap(), Some(network.clone()));
        assert_eq!(network.nodes.len(), 4, "the client speaks to the validators");

        let key = out.path().join("tracker/keys/tracker.key");
        let tracker = peer_id(&keys::load(&key, &keys::PassphraseSource::default()).unwrap());
        let mut tokens = std::collections::BTreeSet::new();
        for name in ["validator-1", "validator-2", "validator-3", "validator-4", "observer-1"] {
            let home = out.path().join(name);
            let config = config(&home);
            let genesis = genesis_file::read(&config.genesis).unwrap();
            assert_eq!((genesis.network_id().to_string(), genesis.delta_ms), (network.network.clone(), 250));
            assert!(config.genesis.starts_with(&home), "nothing outside its home is needed");
            assert_eq!(config.api.hostnames, [name]);
            tokens.insert(config.api.token.unwrap().as_str().to_owned());
            let peers: Vec<String> = config.peers.iter().map(ToString::to_string).collect();
            assert_eq!(peers.len(), if name.starts_with("validator") { 3 } else { 0 });
            let trackers: Vec<String> = config.trackers.iter().map(ToString::to_string).collect();
            assert_eq!(trackers, [format!("/dns4/tracker/tcp/7700/p2p/{tracker}")]);
            assert!(peers.iter().all(|peer| !peer.contains(name)), "nobody dials itself: {peers:?}");
            let Some(path) = config.validator_key else { continue };
            let key = keys::load(&path, &config.passphrases).unwrap().public();
            let validator = genesis.validators.iter().find(|validator| validator.name == name).unwrap();
            assert_eq!(key, validator.key);
        }
        let client = config(&out.path().join(CLIENT));
        tokens.insert(client.api.token.unwrap().as_str().to_owned());
        assert_eq!(tokens.len(), 1, "one token opens all APIs");
    }

    #[test]
    fn empty_folders_are_used_and_a_part_of_a_network_is_not() {
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir(out.path().join("validator-1")).unwrap();
        let failed = create(out.path(), &PLAN, &|| Err(crate::cli::failure::Failure::new("not yours")));
        assert!(failed.is_err());
        assert_eq!(read(out.path()).unwrap(), None, "what was not given away is not whole");
        let again = create(out.path(), &PLAN, &|| Ok(())).unwrap_err().to_string();
        assert!(again.contains("validator-1") && again.contains("--out"), "{again}");
    }
}
