//! Inputs to begin with: one of each kind that decodes, so that mutations begin behind the first check. They are made and
//! not kept, and so never of an older format.

use crate::world;
use conclave::{
    archive::{
        Writer,
        format::{Entry, FORMAT, Tip},
    },
    chat::Said,
    gossip_api::message::{FromModule, notification},
};
use conclave_ledger::{
    block::{Decided, Skip},
    chain::Chain,
    codec,
    hash::Hash,
    signed::{Kind, Value},
};
use conclave_protocol::{consensus, dissemination, node::LogRecord};

const PREFLIB: &str = "# FILE NAME: 1.toi\n# TITLE: Lunch\n# DATA TYPE: toi\n# NUMBER ALTERNATIVES: 3\n\
    # NUMBER VOTERS: 5\n# NUMBER UNIQUE ORDERS: 2\n# ALTERNATIVE NAME 1: Soup\n# ALTERNATIVE NAME 2: Bread\n\
    # ALTERNATIVE NAME 3: Fish\n3: 1,{2,3}\n2: 3\n";

const INI: &str = "[gossip]\ncache_size = 50\ndegree = 30\nbootstrapper = 192.0.2.7:6001\np2p_address = \
    \"127.0.0.1:6001\"\napi_address = [::1]:7001\n";

const CONFIGURATION: &str =
    "[network]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[api]\nlisten = \"127.0.0.1:0\"\n";

/// Target and input.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    // The first byte chooses, in the order of the target's table.
    let mut chosen = |target, list: Vec<Vec<u8>>| {
        let numbered = list.into_iter().zip(0u8..).map(|(bytes, choice)| [vec![choice], bytes].concat());
        seeds.extend(numbered.map(|bytes| (target, bytes)));
    };
    chosen("ledger", ledger());
    chosen("messages", messages());
    chosen("texts", texts());
    chosen("archive", vec![archive(), codec::encode(&skip())]);
    chosen("frames", vec![[[0, 0, 0, 3].as_slice(), b"one", &[0; 4]].concat()]);
    let record = world::peer_record(1, 1).envelope().to_vec();
    chosen("rendezvous", vec![vec![2, 8, 1], vec![4, 8, 3, 42, 0], record.clone()]);
    seeds.push(("peer_records", record));
    let said = Said::new(world::network(), &world::node_key(1), 5, "hello".into());
    seeds.extend(said.map(|said| ("chat", said.encode())));
    let announce = FromModule::Announce { ttl: 4, data_type: 1337, data: b"data".to_vec() };
    let validation = FromModule::Validation { id: 7, valid: true };
    seeds.push(("gossip_api", [announce.encode(), validation.encode()].concat()));
    seeds.push(("gossip_api", notification(7, 1337, b"data")));
    seeds
}

fn skip() -> Decided {
    Decided::Skip(Skip { network: world::network(), height: 1, parent: Hash::ZERO })
}

fn ledger() -> Vec<Vec<u8>> {
    let (block, transaction) = (world::block(1, 0, 1), world::transaction(1));
    let proof = world::certificate(1, block.hash());
    vec![
        codec::encode(&*transaction),
        codec::encode(&proof),
        codec::encode(&**world::GENESIS),
        codec::encode(&transaction.request),
        codec::encode(&transaction.request.payload),
        codec::encode(&block.header),
        codec::encode(&*block),
        codec::encode(&Skip { network: world::network(), height: 2, parent: block.hash() }),
        codec::encode(&Decided::Block(block)),
        codec::encode(proof.signatures()),
    ]
}

fn messages() -> Vec<Vec<u8>> {
    let votes = world::signatures(1, Kind::Vote, Value::Skip, &[0, 2]);
    let proof = Some(world::certificate(1, Hash::ZERO));
    vec![
        codec::encode(&consensus::Message::Skip { height: 1, votes }),
        Vec::new(),
        codec::encode(&dissemination::Message::Transactions(vec![world::transaction(1)])),
        // The others are drawn, whatever the bytes are.
        LogRecord::Decided { height: 1, value: Value::Skip, proof }.encode(),
    ]
}

fn texts() -> Vec<Vec<u8>> {
    let key = world::validator_key(0);
    let genesis = format!(
        "format = 1\nname = \"lunch\"\ndelta_ms = 500\ncreated_ms = 1000\n[[validators]]\nname = \"anna\"\nkey = \"{}\"\n",
        key.public()
    );
    let seed = conclave_ledger::bytes::to_hex(&key.seed());
    let key = format!("version = 1\nkind = \"plain\"\npublic = \"{}\"\nseed = \"{seed}\"\n", key.public());
    [PREFLIB, INI, &genesis, &key, CONFIGURATION].map(|text| text.as_bytes().to_vec()).into()
}

/// The archive of a network that has decided nothing.
fn archive() -> Vec<u8> {
    let chain = Chain::new(world::GENESIS.clone());
    let tip = Tip { height: 0, hash: chain.tip().hash, state: chain.state_hash(), proofs: Vec::new() };
    let written = Writer::new(Vec::new()).and_then(|mut writer| {
        writer.write(&Entry::Begin { format: FORMAT, network: world::network(), from: 1, to: 0 })?;
        writer.write(&Entry::Tip(tip))?;
        writer.finish(0)
    });
    written.unwrap_or_default()
}
