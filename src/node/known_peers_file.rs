//! The file in which a node writes down whom it knows: `known-peers` in its home.
//!
//! ```text
//! "conclave known peers 1\n" ‖ SHA-256 of the rest ‖ canonical CBOR of the peers
//! ```
//! The file is replaced as a whole (written beside, synced, renamed), so a crash leaves the old one or the new one. It
//! holds nothing that cannot be learned again: a damaged file, or one of a later version, is set aside under the name
//! `known-peers.damaged`, with a loud warning, and the node starts from its configuration.

use conclave_ledger::codec;
use conclave_protocol::known_peers::SavedPeers;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Name of the file in the home.
pub(super) const FILE_NAME: &str = "known-peers";

/// Largest file that is read: more peers than any configuration allows.
const MAX_BYTES: usize = 64 << 20;

const HEADER: &[u8] = b"conclave known peers 1\n";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is not of this version of the program, or no file of known peers at all")]
    Header,
    #[error("it is damaged: its checksum does not hold")]
    Checksum,
    #[error("it is damaged: {0}")]
    Content(#[from] codec::DecodeError),
}

/// Reads the file of `home`. Nothing is known if there is none, or none that can be used: that one is set aside.
pub(super) fn read(home: &Path) -> SavedPeers {
    let path = home.join(FILE_NAME);
    match read_bytes(&path).and_then(|bytes| parse(&bytes)) {
        Ok(saved) => saved,
        Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => SavedPeers::default(),
        Err(error) => {
            let aside = home.join(format!("{FILE_NAME}.damaged"));
            let set_aside = fs::rename(&path, &aside);
            tracing::error!(
                file = %path.display(), %error, set_aside = set_aside.is_ok(), to = %aside.display(),
                "the known peers are lost; the node learns them again from its configured peers and trackers: \
                 give --peer or --tracker if it has none"
            );
            SavedPeers::default()
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES as u64 {
        return Err(codec::DecodeError::TooLong { length: length as usize, limit: MAX_BYTES }.into());
    }
    Ok(fs::read(path)?)
}

fn parse(bytes: &[u8]) -> Result<SavedPeers, FileError> {
    let rest = bytes.strip_prefix(HEADER).ok_or(FileError::Header)?;
    let (checksum, content) = rest.split_first_chunk::<32>().ok_or(FileError::Checksum)?;
    if Sha256::digest(content).as_slice() != checksum {
        return Err(FileError::Checksum);
    }
    Ok(codec::decode(content, MAX_BYTES)?)
}

/// Replaces the file of `home`.
///
/// # Errors
/// What the system says; the old file is then still there.
pub(super) fn write(home: &Path, saved: &SavedPeers) -> io::Result<()> {
    let content = codec::encode(saved);
    let unfinished = home.join(format!("{FILE_NAME}.unfinished"));
    let mut file = File::create(&unfinished)?;
    file.write_all(HEADER)?;
    file.write_all(&Sha256::digest(&content))?;
    file.write_all(&content)?;
    file.sync_all()?;
    fs::rename(&unfinished, home.join(FILE_NAME))?;
    File::open(home)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_protocol::{
        known_peers::{SavedPeer, Source},
        peer::Peer,
    };

    fn saved() -> SavedPeers {
        let peer = SavedPeer {
            peer: Peer::from_bytes(&[7; 38]).unwrap(),
            addresses: vec!["/ip4/192.0.2.7/tcp/7700".into()],
            record: None,
            sources: [Source::Tracker].into(),
            told_by: None,
            validator: None,
            met: true,
            anchor: true,
            failures: 0,
        };
        SavedPeers { peers: vec![peer] }
    }

    #[test]
    fn what_is_written_reads_back_and_replaces_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()), SavedPeers::default());
        write(home.path(), &SavedPeers::default()).unwrap();
        write(home.path(), &saved()).unwrap();
        assert_eq!(read(home.path()), saved());
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE_NAME);
        write(home.path(), &saved()).unwrap();
        let good = fs::read(&path).unwrap();
        let cut = good[..good.len() - 1].to_vec();
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("foreign", b"something else".to_vec()),
            ("of another version", [b"conclave known peers 2\n", &good[HEADER.len()..]].concat()),
            ("cut short", cut),
        ] {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(home.path()), SavedPeers::default(), "{what}");
            assert!(!path.exists(), "{what}");
            assert_eq!(fs::read(home.path().join("known-peers.damaged")).unwrap(), bytes);
        }
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            assert!(parse(&bytes).is_err(), "byte {place}");
        }
    }
}
