//! The processes of a local network: started, watched, stopped; each by its own id.
//!
//! Every node is in a process group of its own, so that Ctrl-C reaches `up` alone, which then stops the nodes one
//! and all. It holds the other end of their standard input: if `up` itself is killed, they see it end, and stop.

use super::network::Network;
use crate::cli::failure::{Context, Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

/// How long a node has to stop by itself before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// First pause before a node is started again; it doubles with each time, up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A node that ran this long is no longer held to have failed before.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Lines of a log that are shown when its node dies early.
const LOG_LINES: usize = 5;

/// All nodes.
pub(super) struct Processes {
    nodes: Vec<Process>,
    restart: bool,
}

struct Process {
    name: String,
    home: PathBuf,
    child: Option<Child>,
    started: Instant,
    backoff: Duration,
    start_again: Option<Instant>,
}

/// A node that has died.
pub(super) struct Died {
    name: String,
    home: PathBuf,
    status: ExitStatus,
}

impl Died {
    /// What to say of it while the others go on.
    pub(super) fn note(&self, restarted: bool) -> String {
        let (name, status) = (&self.name, self.status);
        match restarted {
            true => format!("{name} has died ({status}); it is started again"),
            false => format!(
                "{name} has died ({status}); start it again with\n  conclave --home {} run",
                self.home.display()
            ),
        }
    }

    /// The failure when it has died before it was ready.
    pub(super) fn failure(&self) -> Failure {
        let log = self.home.join("log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n    ");
        Failure::new(format!("{} has stopped before it was ready ({})\n    {last}", self.name, self.status))
            .advise(format!("Its log is {}.", log.display()))
    }
}

impl Processes {
    /// Starts every node of the network in `home`.
    ///
    /// # Errors
    /// When one cannot be started; those that were are killed.
    pub(super) fn start(home: &Path, network: &Network, restart: bool) -> Outcome<Self> {
        let nodes = network.nodes.iter().map(|node| {
            let mut process = Process {
                name: node.name.clone(),
                home: home.join(&node.name),
                child: None,
                started: Instant::now(),
                backoff: FIRST_BACKOFF,
                start_again: None,
            };
            process.start().map(|()| process)
        });
        Ok(Self { nodes: nodes.collect::<Outcome<_>>()?, restart })
    }

    /// Nodes that have died since the last look. Those that are to be restarted are, when their time has come.
    pub(super) fn look(&mut self) -> Vec<Died> {
        let restart = self.restart;
        self.nodes.iter_mut().filter_map(|node| node.look(restart)).collect()
    }

    /// Whether node number `number` is a running child of this process.
    pub(super) fn is_running(&self, number: usize) -> bool {
        self.nodes.get(number).is_some_and(|node| node.child.is_some())
    }

    /// Asks every node to stop, waits, and kills those that do not.
    pub(super) async fn stop(mut self) {
        for node in &self.nodes {
            node.ask_to_stop();
        }
        let deadline = Instant::now() + STOP_WITHIN;
        for node in &mut self.nodes {
            let Some(child) = &mut node.child else { continue };
            if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
                // It may have ended by itself in the meantime.
                let _ = child.kill().await;
            }
        }
    }
}

impl Process {
    fn start(&mut self) -> Outcome {
        let log_path = self.home.join("log");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--home").arg(&self.home).args(["run", "--stop-with-stdin"]);
        // What is meant for this process must not configure its nodes, except how much they log.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CONCLAVE_") && !text.starts_with("CONCLAVE_LOG") {
                command.env_remove(&name);
            }
        }
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().context(|| format!("cannot start {}", self.name))?;
        (self.child, self.started, self.start_again) = (Some(child), Instant::now(), None);
        Ok(())
    }

    fn look(&mut self, restart: bool) -> Option<Died> {
        if self.start_again.is_some_and(|at| at <= Instant::now()) {
            // A failure to start is tried again like one to run.
            if self.start().is_err() {
                self.plan_restart();
            }
        }
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        if restart {
            if self.started.elapsed() > STABLE_AFTER {
                self.backoff = FIRST_BACKOFF;
            }
            self.plan_restart();
        }
        Some(Died { name: self.name.clone(), home: self.home.clone(), status })
    }

    fn plan_restart(&mut self) {
        self.start_again = Some(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }

    fn ask_to_stop(&self) {
        let id = self.child.as_ref().and_then(Child::id);
        if let Some(pid) = id.and_then(|id| Pid::from_raw(id as i32)) {
            // It may have ended by itself in the meantime; its id is not used again before it was waited for.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
