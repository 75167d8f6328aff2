//! A peer of the Kademlia table that is no node of ours: `conclave swarm`.

use super::eventually;
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) struct Hub {
    child: Child,
    pub(crate) address: String,
}

impl Hub {
    /// A hub that listens on loopback and writes its events into `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let path = folder.join("hub.log");
        let log = std::fs::File::create(&path).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .args(["swarm", "--listen", "/ip4/127.0.0.1/tcp/0", "--output", "json"])
            .args(["--kademlia", conclave_behaviours::discovery::PROTOCOL.as_ref()])
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .unwrap();
        let address = eventually("the hub listens", || {
            let log = std::fs::read_to_string(&path).ok()?;
            let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            Some(events.find(|event| event["event"] == "listening")?["address"].as_str()?.to_owned())
        });
        Self { child, address }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
