//! Somebody at a terminal: a pseudo-terminal on whose other end the test types and reads.

use super::{Network, console, network::PATIENCE, program};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
};

const CONTROL_A: &str = "\x01";
const CONTROL_C: &str = "\x03";
const CONTROL_D: &str = "\x04";
const UP: &str = "\x1b[A";

/// A program at a terminal.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<(Mutex<String>, Condvar)>,
    /// Up to where the screen has been read.
    seen: usize,
    child: Child,
}

impl Terminal {
    /// Runs a program with a new terminal as its controlling one.
    pub(crate) fn run(program: &Command) -> Self {
        let host = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&host).unwrap();
        unlockpt(&host).unwrap();
        tcsetwinsize(&host, Winsize { ws_row: 50, ws_col: 240, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&host, Vec::new()).unwrap().into_string().unwrap();
        let guest = File::options().read(true).write(true).open(name).unwrap();
        let end = || Stdio::from(guest.try_clone().unwrap());
        // A session of its own, so that Ctrl-C at this terminal is a signal to this program alone.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
        for (variable, value) in program.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let child = command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let screen = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (mut output, shown) = (File::from(host.try_clone().unwrap()), screen.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.0.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
                shown.1.notify_all();
            }
        });
        Self { keyboard: File::from(host), screen, seen: 0, child }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the screen shows `text`, or has ever shown it.
    pub(crate) fn shows(&self, text: &str) -> bool {
        self.screen.0.lock().unwrap().contains(text)
    }

    /// Waits until the screen shows `text`, after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let (screen, changed) = &*self.screen;
        let seen = self.seen;
        let shows = |screen: &mut String| !screen[seen..].contains(text);
        let (screen, waited) = changed.wait_timeout_while(screen.lock().unwrap(), PATIENCE, shows).unwrap();
        assert!(!waited.timed_out(), "{text:?} is not in {:?}", &screen[seen..]);
        self.seen = seen + screen[seen..].find(text).unwrap() + text.len();
    }

    #[track_caller]
    pub(crate) fn wait_for_prompt(&mut self) {
        self.wait_for("conclave> ");
    }

    pub(crate) fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn lines_are_edited_completed_and_remembered() {
    let network = Network::start(1, 100);
    let mut terminal = Terminal::run(&console(&network, 0));
    terminal.wait_for("`help` says what can be done");
    terminal.wait_for_prompt();
    terminal.press("stat\t");
    terminal.wait_for("status ");
    terminal.press("\r");
    terminal.wait_for("validator node-1");
    terminal.wait_for_prompt();
    // Put right at its beginning.
    terminal.press(&format!("alidators{CONTROL_A}v\r"));
    terminal.wait_for("PUBLIC KEY");
    terminal.wait_for_prompt();
    // Two lines back.
    terminal.press(&format!("{UP}{UP}\r"));
    terminal.wait_for("validator node-1");
    terminal.wait_for_prompt();
    terminal.press(&format!("given up{CONTROL_C}"));
    terminal.wait_for_prompt();
    terminal.press("nonsense\r");
    terminal.wait_for("error: unrecognized subcommand 'nonsense'; See `help`.");
    terminal.wait_for_prompt();
    terminal.press(CONTROL_D);
    assert!(terminal.end().success(), "a failed command is no failure of an interactive console");

    let history = network.node_home(0).join("console-history");
    let lines = std::fs::read_to_string(&history).unwrap();
    assert_eq!(lines, "#V2\nstatus \nvalidators\nstatus \nnonsense\n");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn polls_and_their_options_are_completed() {
    let network = Network::start(1, 100);
    let mut terminal = Terminal::run(&console(&network, 0));
    terminal.wait_for_prompt();
    terminal.press("poll create Lunch? Soup 'Bread and Butter'\r");
    terminal.wait_for("opened poll ");
    terminal.wait_for_prompt();
    terminal.press("vote \t");
    // The only poll there is, all of its 64 digits and a space.
    terminal.press("B\t");
    terminal.wait_for("\"Bread and Butter\" ");
    terminal.press("\r");
    terminal.wait_for("decided: transaction");
    terminal.wait_for_prompt();
    terminal.press("tally \t\r");
    terminal.wait_for("Bread and Butter  1");
    terminal.wait_for_prompt();
    terminal.press("quit\r");
    assert!(terminal.end().success());
}

#[test]
fn watching_ends_with_control_c_and_the_console_goes_on() {
    let network = Network::start(1, 100);
    let mut terminal = Terminal::run(&console(&network, 0));
    terminal.wait_for_prompt();
    terminal.press("watch --only decided\r");
    let mut number = 0;
    // Watching begins some time after the line is read: what is decided before that is not seen.
    while !terminal.shows("is decided: block") {
        number += 1;
        let record = network.record(0, &format!("record {number}"));
        network.decide(0, &record, PATIENCE).unwrap();
    }
    terminal.press(CONTROL_C);
    terminal.wait_for_prompt();
    terminal.press("quit\r");
    assert!(terminal.end().success());
}

#[test]
fn a_node_with_a_console_asks_for_its_port_and_outlives_control_c() {
    let network = Network::start(1, 100);
    let home = network.home.join("stranger");
    let mut command = program();
    command.arg("--home").arg(&home).args(["run", "--console", "--genesis"]).arg(network.genesis());
    command.args(["--api-listen", "127.0.0.1:0"]);
    let mut terminal = Terminal::run(&command);
    terminal.wait_for("Port on which other nodes reach this one [7700]: ");
    terminal.press("nonsense\r");
    terminal.wait_for("is no port");
    let port = free_port();
    terminal.press(&format!("{port}\r"));
    terminal.wait_for("remembers the port");
    terminal.wait_for_prompt();
    terminal.press("addresses\r");
    terminal.wait_for(&format!("/tcp/{port}/p2p/12D3KooW"));
    terminal.wait_for_prompt();
    terminal.press("watch\r");
    terminal.wait_for("watch");
    terminal.wait_for("\r\n");
    terminal.press(CONTROL_C);
    terminal.wait_for_prompt();
    terminal.press("status\r");
    terminal.wait_for("observer");
    terminal.wait_for_prompt();
    terminal.press("quit\r");
    assert!(terminal.end().success());
    assert!(std::fs::read_to_string(home.join("log")).unwrap().contains("the node has stopped"));
    assert!(std::fs::read_to_string(home.join("config.toml")).unwrap().contains(&format!("/tcp/{port}")));
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    holder.local_addr().unwrap().port()
}
