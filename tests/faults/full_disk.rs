//! A disk that is full, under a running node: a small file system of its own where that can be had, and a limit on the
//! size of its files.

use crate::network::{Network, eventually};
use conclave_ledger::transaction::Transaction;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Room for a few hundred records beside the files of a fresh home, in bytes.
const SMALL: u64 = 12 << 20;

/// Room enough, in bytes.
const LARGE: u64 = 256 << 20;

/// A file system in memory, mounted on a node's home.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Moves what is in `home` to a disk of its own; `None` where this process may not mount one.
    fn under(home: &Path) -> Option<Self> {
        let away = home.with_extension("away");
        std::fs::rename(home, &away).unwrap();
        std::fs::create_dir(home).unwrap();
        let options = format!("size={SMALL}");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", home.to_str().unwrap()]);
        if !mounted {
            std::fs::remove_dir(home).unwrap();
            std::fs::rename(&away, home).unwrap();
            return None;
        }
        let all = format!("{}/.", away.display());
        assert!(run("cp", &["-a", &all, home.to_str().unwrap()]));
        Some(Self(home.to_owned()))
    }

    fn grow(&self) {
        let options = format!("remount,size={LARGE}");
        assert!(run("mount", &["-o", &options, self.0.to_str().unwrap()]));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Submits records to node 0 until it stops; those that it acknowledged, with their heights.
fn fill(network: &mut Network) -> Vec<(Transaction, u64)> {
    let mut acknowledged = Vec::new();
    for number in 0..800 {
        let transaction = network.record(0, &format!("{number} {}", "x".repeat(32_000)));
        match network.decide(0, &transaction, Duration::from_secs(20)) {
            Some(height) => acknowledged.push((transaction, height)),
            None => return acknowledged,
        }
    }
    panic!("{} records fit", acknowledged.len());
}

/// The node stops and says why; nothing that it acknowledged is lost, and the others go on.
fn check_stopped(network: &mut Network, acknowledged: &[(Transaction, u64)]) {
    assert!(acknowledged.len() > 20, "{} records before the disk was full", acknowledged.len());
    eventually("the node stops", || (!network.is_running(0)).then_some(()));
    let log = network.log(0);
    let last: String = log.lines().rev().take(3).collect::<Vec<_>>().join("\n");
    assert!(last.contains("no space is left on the disk for") && last.contains("node-1"), "{last}");
    assert!(last.contains("free some, then start again"), "what to do: {last}");
}

fn check_back(network: &Network, acknowledged: &[(Transaction, u64)]) {
    for (transaction, height) in acknowledged {
        assert_eq!(network.decide(0, transaction, Duration::from_secs(30)), Some(*height));
    }
    network.decide(0, &network.record(0, "there is space again"), Duration::from_secs(60)).unwrap();
}

/// One of four: the others go on.
#[test]
fn a_full_disk_stops_the_node_and_loses_nothing() {
    let mut network = Network::start(4, 300);
    network.kill(0);
    let Some(disk) = SmallDisk::under(&network.node_home(0)) else {
        eprintln!("SKIPPED: this process may not mount a file system; the limit on files is tested instead");
        return;
    };
    network.run(0);
    network.wait_connected(0, 3);
    let acknowledged = fill(&mut network);
    check_stopped(&mut network, &acknowledged);
    let record = network.record(1, "without node 0");
    network.decide(1, &record, Duration::from_secs(60)).expect("the others go on");
    disk.grow();
    network.run(0);
    network.wait_connected(0, 3);
    check_back(&network, &acknowledged);
    network.wait_agreement(&[0, 1, 2, 3]);
    network.kill(0);
}

/// The only one: what it acknowledged is nowhere else.
#[test]
fn a_limit_on_files_stops_the_node_and_loses_nothing() {
    let mut network = Network::start(1, 300);
    network.kill(0);
    network.run_limited(0, SMALL / 2);
    network.wait_connected(0, 0);
    let acknowledged = fill(&mut network);
    check_stopped(&mut network, &acknowledged);
    network.run(0);
    network.wait_connected(0, 0);
    check_back(&network, &acknowledged);
}
