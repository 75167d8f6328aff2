//! An observer as a process of its own, which knows what its arguments say.

use super::{
    BITS,
    network::{Network, eventually, logged, program, succeed, terminate},
};
use conclave::client::Client;
use std::{
    net::SocketAddr,
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
        let mut observer = Self::begin(network, number, arguments);
        observer.wait_up();
        observer
    }

    /// Fresh observers with these numbers, started at once and up.
    pub(crate) fn start_all(
        network: &Network,
        numbers: std::ops::Range<usize>,
        arguments: impl Fn(usize) -> Vec<String>,
    ) -> Vec<Self> {
        let begin = |number| {
            let arguments = arguments(number);
            Self::begin(network, number, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut observers: Vec<Self> = numbers.map(begin).collect();
        observers.iter_mut().for_each(Self::wait_up);
        observers
    }

    fn begin(network: &Network, number: usize, arguments: &[&str]) -> Self {
        let name = format!("observer-{number}");
        let home = network.home.join(&name);
        succeed(program().arg("--home").arg(&home).arg("init"));
        let (genesis, api) = (network.genesis(), String::new());
        let mut observer = Self { name, home, genesis, runs: 0, api, child: None };
        observer.run(arguments);
        observer
    }

    /// Its peer id.
    pub(crate) fn id(&self) -> String {
        logged(&self.log(), "the node is up", "peer").unwrap()
    }

    /// Where its gossip API is, if it was told to have one.
    pub(crate) fn gossip(&self) -> SocketAddr {
        logged(&self.log(), "the gossip API is up", "address").unwrap().parse().unwrap()
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
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"]);
        // What a test asks for comes first; a flag is given once.
        if !arguments.contains(&"--genesis") {
            command.arg("--genesis").arg(&self.genesis);
        }
        if !arguments.contains(&"--admission-bits") {
            command.args(["--admission-bits", BITS]);
        }
        let child = command.args(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    fn wait_up(&mut self) {
        let api =
            eventually(&format!("{} is up", self.name), || logged(&self.log(), "the node is up", "api"));
        self.api = format!("http://{api}");
    }

    /// SIGTERM, and the end of the process.
    pub(crate) fn stop(&mut self) {
        self.child.take().iter_mut().for_each(terminate);
    }

    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        self.stop();
        self.run(arguments);
        self.wait_up();
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
