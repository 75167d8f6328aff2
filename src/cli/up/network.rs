//! The files of a local network: its genesis, a home for each node, and a list of where they are.

use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        genesis, init,
    },
    config::file::Template,
    keys,
};
use conclave_ledger::{
    proof_of_work::Parameters,
    validators::{FaultBound, Validator},
};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

/// Name of the list in the network's home.
pub(crate) const FILE_NAME: &str = "network.json";

/// How many ports are tried before giving up on one that is free for both TCP and UDP.
const PORT_ATTEMPTS: usize = 64;

/// A local network: what `network.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// The network id.
    pub(crate) network: String,
    /// Its nodes, in the order of the validator set.
    pub(crate) nodes: Vec<Node>,
}

/// One of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Its name, which is also that of its home in the network's home, and of the validator.
    pub(crate) name: String,
    /// URL of its API.
    pub(crate) api: String,
    /// Address of its gossip API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gossip: Option<SocketAddr>,
    /// Its libp2p peer id.
    pub(crate) peer_id: String,
    /// Its validator key, or the key under which it mines.
    pub(crate) validator: String,
    /// Where the others reach it.
    pub(crate) address: String,
}

/// What a new network is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Number of nodes.
    pub(crate) nodes: u16,
    /// Δ, in milliseconds.
    pub(crate) delta_ms: u64,
    /// How many may be faulty.
    pub(crate) faulty: FaultBound,
    /// What proofs of work are asked for, if they decide.
    pub(crate) work: Option<Parameters>,
}

impl Network {
    /// Whether a folder is the home of one.
    pub(crate) fn is_in(home: &Path) -> bool {
        home.join(FILE_NAME).exists()
    }

    /// The network in a home, if there is one.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub(crate) fn read(home: &Path) -> Outcome<Option<Self>> {
        if !Self::is_in(home) {
            return Ok(None);
        }
        let path = home.join(FILE_NAME);
        let text = std::fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
        let network: Self = serde_json::from_slice(&text)
            .context(|| format!("{} is not the list of a network's nodes", path.display()))?;
        if network.nodes.is_empty() {
            return Err(Failure::new(format!("{} lists no node", path.display())));
        }
        Ok(Some(network))
    }
}

/// A node that is being made: its keys are in its home already.
struct Draft {
    node: Node,
    listen: Vec<String>,
    api: SocketAddr,
}

/// Makes a network in `home`. The list is written last, so a network is either whole or not there.
///
/// # Errors
/// When something of it is there already, or cannot be written.
pub(crate) fn create(home: &Path, plan: &Plan) -> Outcome<Network> {
    let genesis_path = home.join("genesis.toml");
    if genesis_path.exists() || home.join("node-1").exists() {
        return Err(Failure::new(format!(
            "{} holds a part of a network, but not its {FILE_NAME}",
            home.display()
        ))
        .advise("Remove the folder if nothing in it is needed, or name another with --home."));
    }
    // All ports are held until all are chosen, so that no two nodes get the same one.
    let mut held = Vec::new();
    let mines = plan.work.is_some();
    let drafts = (1..=plan.nodes)
        .map(|number| draft(home, number, mines, &mut held))
        .collect::<Outcome<Vec<Draft>>>()?;
    drop(held);
    let genesis = match plan.work.clone() {
        Some(parameters) => genesis::open("local".into(), plan.delta_ms, parameters),
        None => {
            let validators = drafts.iter().map(|draft| -> Outcome<Validator> {
                Ok(Validator { name: draft.node.name.clone(), key: draft.node.validator.parse()? })
            });
            let validators = validators.collect::<Outcome<Vec<Validator>>>()?;
            genesis::new("local".into(), validators, plan.faulty, plan.delta_ms, true)
        }
    };
    genesis::write(&genesis_path, &genesis)?;
    for draft in &drafts {
        let others = drafts.iter().filter(|other| other.node.name != draft.node.name);
        let template = Template {
            genesis: Some("../genesis.toml".into()),
            validator_key: (!mines).then(|| "keys/validator.key".into()),
            listen: Some(draft.listen.clone()),
            peers: others.map(|other| other.node.address.clone()).collect(),
            api_listen: Some(draft.api),
            gossip_listen: draft.node.gossip,
            mining_threads: mines.then_some(1),
            // Nobody on this machine has to show the others that it is not many.
            admission_bits: mines.then_some(0),
            ..Template::default()
        };
        init::write_config(&home.join(&draft.node.name), &template)?;
    }
    let nodes = drafts.into_iter().map(|draft| draft.node).collect();
    let network = Network { network: genesis.network_id().to_string(), nodes };
    let partial = home.join(".network.json.new");
    std::fs::write(&partial, serde_json::to_vec_pretty(&network)?)?;
    std::fs::rename(&partial, home.join(FILE_NAME))?;
    Ok(network)
}

fn draft(
    home: &Path,
    number: u16,
    mines: bool,
    held: &mut Vec<(TcpListener, Option<UdpSocket>)>,
) -> Outcome<Draft> {
    let name = format!("node-{number}");
    let keys_folder = home.join(&name).join("keys");
    let node_key = keys::generate()?;
    keys::create(&keys_folder.join("node.key"), &node_key, None)?;
    let known_by = match mines {
        true => node_key.public(),
        false => {
            let validator_key = keys::generate()?;
            keys::create(&keys_folder.join("validator.key"), &validator_key, None)?;
            validator_key.public()
        }
    };
    let port = free_port(held)?;
    let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let api_address = api.local_addr()?;
    held.push((api, None));
    let gossip = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let gossip_address = gossip.local_addr()?;
    held.push((gossip, None));
    let peer_id = keys::node_identity(&node_key).public().to_peer_id().to_string();
    let node = Node {
        name,
        api: format!("http://{api_address}"),
        gossip: Some(gossip_address),
        validator: known_by.to_string(),
        address: format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}"),
        peer_id,
    };
    let listen = vec![format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")];
    Ok(Draft { node, listen, api: api_address })
}

/// A loopback port that is free for TCP and UDP; held until `held` is dropped.
fn free_port(held: &mut Vec<(TcpListener, Option<UdpSocket>)>) -> Outcome<u16> {
    for _ in 0..PORT_ATTEMPTS {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = tcp.local_addr()?.port();
        if let Ok(udp) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((tcp, Some(udp)));
            return Ok(port);
        }
    }
    Err(Failure::new("no loopback port is free for both TCP and UDP"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{config::NodeConfig, genesis_file};

    #[test]
    fn a_network_is_made_once_and_every_home_of_it_can_run() {
        let home = tempfile::tempdir().unwrap();
        let plan = Plan { nodes: 4, delta_ms: 250, faulty: FaultBound::Third, work: None };
        let network = create(home.path(), &plan).unwrap();
        assert_eq!(Network::read(home.path()).unwrap().as_ref(), Some(&network));
        assert!(create(home.path(), &plan).is_err());

        let genesis = genesis_file::read(&home.path().join("genesis.toml")).unwrap();
        assert_eq!((genesis.delta_ms, genesis.network_id().to_string()), (250, network.network.clone()));
        let mut ports = std::collections::BTreeSet::new();
        for (node, validator) in network.nodes.iter().zip(&genesis.validators) {
            let config = NodeConfig::resolve(
                &home.path().join(&node.name),
                [crate::config::file::read(&home.path().join(&node.name)).unwrap()],
            )
            .unwrap();
            assert_eq!(genesis_file::read(&config.genesis).unwrap(), genesis);
            assert_eq!(config.peers.len(), 3);
            assert_eq!((format!("http://{}", config.api.listen), config.listen.len()), (node.api.clone(), 2));
            let key = keys::load(config.validator_key.as_ref().unwrap(), &config.passphrases).unwrap();
            assert_eq!((key.public(), node.name.as_str()), (validator.key, validator.name.as_str()));
            assert!(ports.insert(config.api.listen.port()));
            assert!(ports.insert(config.listen[0].to_string().rsplit('/').next().unwrap().parse().unwrap()));
        }
    }

    #[test]
    fn half_a_network_is_not_taken_for_one() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("genesis.toml"), "").unwrap();
        let plan = Plan { nodes: 1, delta_ms: 250, faulty: FaultBound::Third, work: None };
        assert!(create(home.path(), &plan).unwrap_err().to_string().contains("a part of a network"));
    }
}
