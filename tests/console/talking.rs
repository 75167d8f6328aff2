//! Two people talk through their nodes.

use super::{Network, console, network::eventually, say, terminal::Terminal};
use std::process::Stdio;

#[test]
fn what_one_says_the_other_hears() {
    let network = Network::start(2, 200);
    let mut watching = console(&network, 0);
    watching.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = watching.spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"watch --only announced --count 1\n").unwrap();
    drop(child.stdin.take());
    let mut number = 0;
    // What is said before the other watches, or before the nodes know of each other's interest, is not heard.
    eventually("the other hears it", || {
        number += 1;
        say(&network, 1, &format!("say we don't begin before {number} o'clock\n"));
        child.try_wait().unwrap()
    });
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(out.contains("node-2 (…") && out.contains("): we don't begin before "), "{out}");
}

#[test]
fn what_is_heard_does_not_tear_the_line_that_is_typed() {
    let network = Network::start(2, 200);
    let mut terminal = Terminal::run(&console(&network, 0));
    terminal.wait_for_prompt();
    terminal.press("stat");
    terminal.wait_for("stat");
    let mut number = 0;
    eventually("it is heard", || {
        number += 1;
        say(&network, 1, &format!("say hello number {number}\n"));
        terminal.shows("): hello number ").then_some(())
    });
    terminal.press("us\r");
    terminal.wait_for("validator node-1");
    terminal.wait_for_prompt();
    terminal.press("say \"hello\" yourself\r");
    terminal.wait_for("node-1 (…");
    terminal.wait_for("): \"hello\" yourself");
    terminal.press("quit\r");
    assert!(terminal.end().success());
}
