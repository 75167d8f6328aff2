//! A tracker as a process of its own.

use super::network::{Network, eventually, program};
use std::{
    fs::File,
    process::{Child, Stdio},
};

pub(crate) struct Tracker {
    child: Child,
    /// Its first multiaddr.
    pub(crate) address: String,
}

impl Tracker {
    /// A tracker that listens on loopback.
    pub(crate) fn start(network: &Network) -> Self {
        let out = network.home.join("tracker.address");
        let child = program()
            .arg("--home")
            .arg(network.home.join("tracker"))
            .args(["tracker", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdout(File::create(&out).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = eventually("the tracker listens", || {
            let text = std::fs::read_to_string(&out).ok()?;
            text.lines().next().filter(|_| text.ends_with('\n')).map(str::to_owned)
        });
        Self { child, address }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
