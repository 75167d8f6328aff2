//! An observer as a process of its own, which knows what its arguments say.

use super::{
    BITS,
    network::{Network, eventually, program, succeed, terminate},
};
use conclave::client::Client;
use std::{
    path::PathBuf,
    process::{Child, Stdio},
};

pub(crate) struct Observer {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    genesis: PathBuf,
    runs: usize,
    api: String,
    child: Option<Child>,
}

impl Observer {
    /// A fresh observer that is up.
    pub(crate) fn start(network: &Network, number: usize, arguments: &[&str]) -> Self {
        let name = format!("observer-{number}");
        let home = network.home.join(&name);
        succeed(program().arg("--home").arg(&home).arg("init"));
        let (genesis, api) = (network.genesis(), String::new());
        let mut observer = Self { name, home, genesis, runs: 0, api, child: None };
        observer.run(arguments);
        observer
    }

    fn log_path(&self) -> PathBuf {
        self.home.join(format!("run-{}.log", self.runs))
    }

    /// The log of this run.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn run(&mut self, arguments: &[&str]) {
        self.runs += 1;
        let log = std::fs::File::create(self.log_path()).unwrap();
        let mut command = program();
        command.env("CONCLAVE_LOG_FORMAT", "json").arg("--home").arg(&self.home).arg("run");
        command.arg("--genesis").arg(&self.genesis);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"]);
        // What a test asks for comes first; a flag is given once.
        if !arguments.contains(&"--admission-bits") {
            command.args(["--admission-bits", BITS]);
        }
        let child = command.args(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        self.api = eventually(&format!("{} is up", self.name), || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains("the node is up"))?;
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let api = line["fields"]["api"].as_str().or(line["api"].as_str())?;
            Some(format!("http://{api}"))
        });
    }

    /// SIGTERM, and the end of the process.
    pub(crate) fn stop(&mut self) {
        self.child.take().iter_mut().for_each(terminate);
    }

    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        self.stop();
        self.run(arguments);
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.api, None).unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self, network: &Network) -> String {
        network.block_on(self.client().status()).unwrap().listen[0].clone()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- {}\n{}", self.name, log.get(log.len().saturating_sub(4000)..).unwrap_or(&log));
        }
    }
}
