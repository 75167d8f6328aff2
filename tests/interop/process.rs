//! A process that prints lines of JSON, each an event.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running process and the events that it has printed so far.
pub(crate) struct Process {
    name: String,
    child: Child,
    events: Receiver<Value>,
    seen: Vec<Value>,
}

/// The program with `arguments`.
pub(crate) fn conclave(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command.args(arguments);
    command
}

/// A member of a swarm.
pub(crate) fn member(arguments: &[&str]) -> Process {
    Process::start(conclave(&[&["swarm", "--output", "json"], arguments].concat()).stderr(Stdio::inherit()))
}

/// What a probe of `address` reports.
pub(crate) fn probe(address: &str, arguments: &[&str]) -> Value {
    let output = conclave(&[&["probe", address, "--output", "json"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{address}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Process {
    /// Starts `command`, which says where its standard error goes.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, events) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { name, child, events, seen: Vec::new() }
    }

    /// Waits until an event called `name` has come that `fits`; events that came before count.
    pub(crate) fn wait(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let fits = |event: &Value| event["event"] == name && fits(event);
        loop {
            if let Some(event) = self.seen.iter().find(|event| fits(event)) {
                return event.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.seen.push(event),
                Err(error) => panic!("{name} has not come: {error}\n{}\n{:#?}", self.name, self.seen),
            }
        }
    }

    /// The first address on which it listens that contains `part`.
    pub(crate) fn address(&mut self, part: &str) -> String {
        let listening = self.wait("listening", |event| event["address"].as_str().unwrap().contains(part));
        listening["address"].as_str().unwrap().to_owned()
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Interrupts it as Ctrl-C does; returns whether it ended with success.
    pub(crate) fn interrupt(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// Waits for its end; returns whether that was success.
    pub(crate) fn end(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
