//! The command line from outside: help with examples, errors that say what to do, exit codes, files.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn conclave(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONCLAVE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("HOME", folder).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a command that succeeds.
fn success(folder: &Path, arguments: &[&str]) -> String {
    let output = conclave(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a command that fails with exit code `code` and prints no result.
fn failure(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = conclave(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    text(&output.stderr)
}

/// Names of the commands that a help text lists.
fn listed_commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(String::from)
        .collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    fn walk(folder: &Path, path: &[&str], found: &mut usize) {
        let help = success(folder, &[path, &["--help"]].concat());
        assert!(help.contains("Example"), "{path:?}:\n{help}");
        *found += 1;
        for command in listed_commands(&help) {
            walk(folder, &[path, &[command.as_str()]].concat(), found);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    walk(folder.path(), &[], &mut found);
    assert!(found > 30, "only {found} commands were found");
}

#[test]
fn nobody_misbehaves_who_was_not_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let refused = failure(folder.path(), &["run", "--misbehave", "equivocate"], 2);
    assert!(refused.contains("--i-know-this-is-an-attack"), "{refused}");
    let unknown = failure(folder.path(), &["run", "--misbehave", "loud", "--i-know-this-is-an-attack"], 2);
    assert!(unknown.contains("equivocate"), "{unknown}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_with_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["frobnicate"][..], &["blocks", "show", "x"], &["up", "-n", "0"], &["tx", "show", "12"]]
    {
        failure(folder.path(), arguments, 2);
    }
}

#[test]
fn a_home_is_made_once_and_its_key_goes_into_a_genesis_file() {
    let folder = tempfile::tempdir().unwrap();
    let made: serde_json::Value = serde_json::from_str(&success(
        folder.path(),
        &["--home", "h", "init", "--validator", "anna", "--output", "json"],
    ))
    .unwrap();
    let key = made["validator"]["key"].as_str().unwrap();
    assert_eq!(success(folder.path(), &["key", "show", "h/keys/validator.key"]).trim(), key);
    assert_eq!(success(folder.path(), &["--home", "h", "key", "list"]).lines().count(), 3);

    let again = failure(folder.path(), &["--home", "h", "init"], 1);
    assert!(again.contains("h/keys/node.key") && again.contains("never overwritten"), "{again}");

    let validator = format!("anna={key}");
    success(folder.path(), &["--home", "h", "genesis", "new", "--name", "lunch", "--validator", &validator]);
    let id = success(folder.path(), &["--home", "h", "genesis", "id"]);
    let shown = success(folder.path(), &["genesis", "show", "h/genesis.toml"]);
    assert!(shown.contains(id.trim()) && shown.contains("anna"), "{shown}");
    let two = ["--validator", &validator, "--validator", &validator];
    let twice = [&["genesis", "new", "--name", "x", "-o", "x.toml"][..], &two].concat();
    assert!(failure(folder.path(), &twice, 1).contains("validators[1].name"));
    assert!(!folder.path().join("x.toml").exists());
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("genesis.toml", "format = 1\nname = \"x\"\ndelta = 500\n");
    write("bad.soi", "# FILE NAME: x\n# TITLE: t\n# DATA TYPE: cat\n");
    write("chain.conclave", "not an archive, but some text that is long enough");
    std::fs::create_dir(folder.path().join("h")).unwrap();
    write("h/config.toml", "[api]\nlisten = \"0.0.0.0:7780\"\n");
    write("good.toml", "");
    let nobody = "http://127.0.0.1:1";
    for (arguments, parts) in [
        (&["genesis", "check", "genesis.toml"][..], &["genesis.toml:3:1", "delta", "unknown field"][..]),
        (&["genesis", "check", "absent.toml"], &["absent.toml", "No such file"]),
        (&["poll", "import", "bad.soi"], &["bad.soi:3:", "cat", "Nothing was sent"]),
        (&["--api", nobody, "status"], &[nobody, "conclave up"]),
        (&["--home", "h", "run"], &["0.0.0.0:7780", "token", "127.0.0.1"]),
        (&["--home", "h", "tx", "record", "x"], &["there is no key to sign with", "--key"]),
        (&["--home", "h", "key", "list"], &["there are no keys in h", "conclave init"]),
        (&["verify", "chain.conclave", "--genesis", "genesis.toml"], &["genesis.toml:3:1"]),
    ] {
        let error = failure(folder.path(), arguments, 1);
        assert!(error.starts_with("error: "), "{arguments:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: {part:?} is not in {error}");
        }
    }
}

#[test]
fn a_file_that_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    success(folder.path(), &["key", "new", "a.key"]);
    let key = success(folder.path(), &["key", "show", "a.key"]);
    let validator = format!("a={}", key.trim());
    success(
        folder.path(),
        &["genesis", "new", "--name", "x", "--validator", &validator, "-o", "genesis.toml"],
    );
    std::fs::write(folder.path().join("chain"), "not an archive").unwrap();
    let error = failure(folder.path(), &["verify", "chain", "--genesis", "genesis.toml"], 1);
    assert!(error.contains("chain is refused") && error.contains("not an archive"), "{error}");
}

#[test]
fn a_locked_key_asks_nobody_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pass"), "a passphrase\n").unwrap();
    success(folder.path(), &["key", "new", "a.key", "--encrypt", "--passphrase-file", "pass"]);
    let plain = success(folder.path(), &["key", "show", "a.key"]);
    assert_eq!(plain.trim().len(), 64);
    let error = failure(folder.path(), &["key", "show", "a.key", "--peer-id"], 1);
    assert!(error.contains("--passphrase-file") && error.contains("CONCLAVE_PASSPHRASE"), "{error}");
    let with_peer_id =
        success(folder.path(), &["key", "show", "a.key", "--peer-id", "--passphrase-file", "pass"]);
    assert!(with_peer_id.contains("12D3KooW"), "{with_peer_id}");
}

#[test]
fn completions_are_made_for_every_shell() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(success(folder.path(), &["completions", shell]).contains("conclave"), "{shell}");
    }
}
