//! A tracker as a process of its own.

#![allow(dead_code)] // Each test binary uses a part of this.

use super::network::{eventually, program, terminate};
use std::{
    fs::File,
    path::Path,
    process::{Child, ExitStatus, Stdio},
};

pub(crate) struct Tracker {
    child: Child,
    /// Its first multiaddr.
    pub(crate) address: String,
}

impl Tracker {
    /// A tracker with this home that listens on loopback.
    pub(crate) fn start(home: &Path) -> Self {
        let out = home.with_extension("address");
        let child = program()
            .arg("--home")
            .arg(home)
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

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        terminate(&mut self.child);
        self.child.wait().unwrap()
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
