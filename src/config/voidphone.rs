//! The Windows-INI file of the course "Peer-to-Peer Systems and Security" (its *Voidphone* modules), so that a node can
//! be started with the file that other modules are started with.
//!
//! ```ini
//! [gossip]
//! cache_size = 50
//! degree = 30
//! bootstrapper = 192.0.2.7:6001
//! p2p_address = 127.0.0.1:6001
//! api_address = 127.0.0.1:7001
//! ```
//! | key | field | without it |
//! |---|---|---|
//! | `cache_size` | `gossip.cache_size` | the default |
//! | `degree` | `gossip.degree` | the default |
//! | `bootstrapper` | `network.peers`, over TCP | none |
//! | `p2p_address` | `network.listen`, TCP | an error |
//! | `api_address` | `gossip.listen` | an error |
//!
//! A line is a section in brackets, `key = value`, a comment that begins with `;` or `#`, or empty. Names are compared
//! without regard to case; a value may stand in quotation marks. Other sections, other keys and what comes before
//! the first section belong to other programs and are not looked at.

use super::{GossipLayer, Layer, NetworkLayer, located};
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The section that is read.
const SECTION: &str = "gossip";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VoidphoneError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] located::FileError),
    /// It has no such section.
    #[error("{}: there is no section [{SECTION}]", .0.display())]
    NoSection(PathBuf),
    /// The section lacks a key.
    #[error("{}:{line}: the section [{SECTION}] that begins here has no key {key}", .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The section's line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// A line that is none of those that an INI file has.
    #[error("{}:{line}: expected a section in brackets or key = value, found {found:?}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// A key that is there twice.
    #[error("{}:{line}: {key} is given a second time; the first is in line {first}", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The line of the first.
        first: usize,
        /// The key.
        key: String,
    },
    /// A value that cannot be used.
    #[error("{}:{line}: {key} = {found:?}: expected {expected}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// The value.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// A key of the section: its name in lower case, its line, its value.
struct Entry<'a> {
    key: String,
    line: usize,
    value: &'a str,
}

/// The section.
struct Section<'a> {
    path: &'a Path,
    line: usize,
    entries: Vec<Entry<'a>>,
}

/// Reads the file.
///
/// # Errors
/// With file, line and key.
pub fn read(path: &Path) -> Result<Layer, VoidphoneError> {
    parse(path, &located::read_text(path)?)
}

/// Reads the text of such a file, which errors call `path`.
///
/// # Errors
/// With file, line and key.
pub fn parse(path: &Path, text: &str) -> Result<Layer, VoidphoneError> {
    let section = Section::find(path, text)?;
    let address = "an address and a port, such as 127.0.0.1:6001 or [::1]:6001";
    let number = "a whole number";
    let listen: SocketAddr = section.required("p2p_address", address)?;
    let bootstrapper: Option<SocketAddr> = section.optional("bootstrapper", address)?;
    let gossip = GossipLayer {
        listen: Some(section.required("api_address", address)?),
        degree: section.optional("degree", number)?,
        cache_size: section.optional("cache_size", number)?,
        validation_timeout: None,
    };
    let network = NetworkLayer {
        listen: Some(vec![tcp(listen)]),
        peers: bootstrapper.map(|address| vec![tcp(address)]),
        ..NetworkLayer::default()
    };
    Ok(Layer { network, gossip, ..Layer::default() })
}

fn tcp(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

impl<'a> Section<'a> {
    fn find(path: &'a Path, text: &'a str) -> Result<Self, VoidphoneError> {
        let (mut found, mut within) = (None::<Self>, false);
        for (line, raw) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = raw.trim();
            if content.is_empty() || content.starts_with([';', '#']) {
                continue;
            }
            if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                within = name.trim().eq_ignore_ascii_case(SECTION);
                if within && found.is_none() {
                    found = Some(Self { path, line, entries: Vec::new() });
                }
                continue;
            }
            let Some((key, value)) = content.split_once('=') else {
                return Err(VoidphoneError::Line { path: path.into(), line, found: content.into() });
            };
            if let Some(section) = found.as_mut().filter(|_| within) {
                section.add(key.trim().to_ascii_lowercase(), line, unquoted(value.trim()))?;
            }
        }
        found.ok_or_else(|| VoidphoneError::NoSection(path.into()))
    }

    fn add(&mut self, key: String, line: usize, value: &'a str) -> Result<(), VoidphoneError> {
        if let Some(first) = self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.line) {
            return Err(VoidphoneError::Twice { path: self.path.into(), line, first, key });
        }
        self.entries.push(Entry { key, line, value });
        Ok(())
    }

    fn optional<T: FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, VoidphoneError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.key == key) else { return Ok(None) };
        entry.value.parse().map(Some).map_err(|_| VoidphoneError::Value {
            path: self.path.into(),
            line: entry.line,
            key,
            found: entry.value.into(),
            expected,
        })
    }

    fn required<T: FromStr>(&self, key: &'static str, expected: &'static str) -> Result<T, VoidphoneError> {
        self.optional(key, expected)?.ok_or_else(|| VoidphoneError::NoKey {
            path: self.path.into(),
            line: self.line,
            key,
        })
    }
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].iter().find_map(|mark| value.strip_prefix(*mark)?.strip_suffix(*mark)).unwrap_or(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}hostkey = /hostkey.pem\r\n\r\n; of another module\r\n[rps]\r\nlisten = nowhere\r\n\
                        [Gossip]\r\ncache_size = 50\r\nDEGREE=30\r\n# comment\r\nbootstrapper = 192.0.2.7:6001\r\n\
                        p2p_address = \"127.0.0.1:6001\"\r\napi_address = [::1]:7001\r\nmax_connections = 9\r\n";

    fn read_text(text: &str) -> Result<Layer, String> {
        parse(Path::new("/etc/voidphone.ini"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_the_course_is_read() {
        let layer = read_text(FILE).unwrap();
        let text = |list: Option<Vec<Multiaddr>>| list.unwrap()[0].to_string();
        assert_eq!(text(layer.network.listen), "/ip4/127.0.0.1/tcp/6001");
        assert_eq!(text(layer.network.peers), "/ip4/192.0.2.7/tcp/6001");
        assert_eq!(layer.gossip.listen.unwrap().to_string(), "[::1]:7001");
        assert_eq!((layer.gossip.cache_size, layer.gossip.degree), (Some(50), Some(30)));
        let least = read_text("[gossip]\np2p_address=127.0.0.1:1\napi_address=127.0.0.1:2").unwrap();
        assert_eq!((least.network.peers, least.gossip.degree), (None, None));
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, says) in [
            ("", "voidphone.ini: there is no section [gossip]"),
            ("[dht]\np2p_address = 1", "there is no section [gossip]"),
            (
                "\n[gossip]\napi_address = 127.0.0.1:2",
                "voidphone.ini:2: the section [gossip] that begins here has no key p2p_address",
            ),
            ("[gossip]\np2p_address = 127.0.0.1:2", "has no key api_address"),
            (
                "[gossip]\np2p_address = 127.0.0.1:2\n\napi_address = 7001",
                "voidphone.ini:4: api_address = \"7001\": expected an address",
            ),
            ("[gossip]\np2p_address = localhost:2", "voidphone.ini:2: p2p_address = \"localhost:2\""),
            ("[gossip]\nbootstrapper =\np2p_address = 127.0.0.1:2", "voidphone.ini:2: bootstrapper = \"\""),
            (
                "[gossip]\np2p_address=[::1]:1\napi_address=[::1]:2\ndegree = many",
                "voidphone.ini:4: degree = \"many\": expected a whole number",
            ),
            (
                "[gossip]\ndegree=1\ndegree=2",
                "voidphone.ini:3: degree is given a second time; the first is in line 2",
            ),
            (
                "[gossip]\ndegree",
                "voidphone.ini:2: expected a section in brackets or key = value, found \"degree\"",
            ),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        let missing = read(Path::new("/nowhere/voidphone.ini")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/voidphone.ini"), "{missing}");
    }
}
