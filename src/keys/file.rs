//! One key file: read, made, locked.

use super::{
    cipher::{self, CipherError, Locked},
    passphrase::{Passphrase, PassphraseError, PassphraseSource},
    random,
};
use conclave_ledger::{
    bytes::{from_hex, to_hex},
    keys::{PublicKey, SecretKey},
};
use serde::Deserialize;
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, Zeroizing};

/// Version of the format.
pub const VERSION: u32 = 1;

/// Largest key file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 10;

/// Why a key file cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key file {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It cannot be written.
    #[error("cannot write the key file {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// Others can read it.
    #[error(
        "others can read the secret key in {path} (mode {mode:03o}): run `chmod 600 {path}`, and consider it known"
    )]
    Readable {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a file already.
    #[error("{} exists already, and key files are never overwritten: name another, or move it away", .0.display())]
    Exists(PathBuf),
    /// It is no key file.
    #[error("{} is not a key file: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The public key is not that of the seed.
    #[error("{} states a public key that is not that of its secret key: the file was changed; restore it from a copy", .0.display())]
    PublicKey(PathBuf),
    /// It is locked, and stays so.
    #[error("cannot unlock {}", .0.display())]
    Locked(PathBuf, #[source] CipherError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// It is locked already.
    #[error("{} is encrypted already", .0.display())]
    AlreadyLocked(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(String),
}

/// A key file that was read, its secret still locked if it is.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    public: PublicKey,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Plain(Box<SecretKey>),
    Locked(Locked),
}

/// The file as TOML holds it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Document {
    Plain {
        version: u32,
        public: PublicKey,
        seed: String,
    },
    Encrypted {
        version: u32,
        public: PublicKey,
        memory_kib: u32,
        iterations: u32,
        parallelism: u32,
        salt: String,
        nonce: String,
        ciphertext: String,
    },
}

impl KeyFile {
    /// Reads a key file, refusing one that others may read.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::Read(path.into(), error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(KeyError::Readable {
                path: path.display().to_string(),
                mode: metadata.mode() & 0o777,
            });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        Self::parse(path, &text)
    }

    /// Reads the text of a key file, which errors call `path`.
    ///
    /// # Errors
    /// When it is no key file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, KeyError> {
        let malformed = |reason: String| KeyError::Malformed { path: path.into(), reason };
        let document: Document =
            toml::from_str(text).map_err(|error| malformed(error.message().to_owned()))?;
        let (version, public, secret) = match document {
            Document::Plain { version, public, mut seed } => {
                let bytes = hexadecimal("seed", &seed).map(Zeroizing::new);
                seed.zeroize();
                (version, public, Secret::Plain(Box::new(SecretKey::from_seed(*bytes.map_err(malformed)?))))
            }
            Document::Encrypted {
                version,
                public,
                memory_kib,
                iterations,
                parallelism,
                salt,
                nonce,
                ciphertext,
            } => {
                let locked = Locked {
                    memory_kib,
                    iterations,
                    parallelism,
                    salt: hexadecimal("salt", &salt).map_err(malformed)?,
                    nonce: hexadecimal("nonce", &nonce).map_err(malformed)?,
                    ciphertext: hexadecimal::<48>("ciphertext", &ciphertext).map_err(malformed)?.to_vec(),
                };
                (version, public, Secret::Locked(locked))
            }
        };
        if version != VERSION {
            return Err(malformed(format!(
                "version {version} is not known to this program, which reads {VERSION}"
            )));
        }
        if matches!(&secret, Secret::Plain(key) if key.public() != public) {
            return Err(KeyError::PublicKey(path.into()));
        }
        Ok(Self { path: path.into(), public, secret })
    }

    /// The public key that the file states.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.secret, Secret::Locked(_))
    }

    /// The secret key; a passphrase is asked for only if the file is locked.
    ///
    /// # Errors
    /// When there is no passphrase or it is not the right one.
    pub fn unlock(self, passphrases: &PassphraseSource) -> Result<SecretKey, KeyError> {
        let locked = match self.secret {
            Secret::Plain(key) => return Ok(*key),
            Secret::Locked(locked) => locked,
        };
        let passphrase = passphrases.get(&self.path.display().to_string())?;
        let seed = cipher::unlock(&locked, &self.public, &passphrase)
            .map_err(|error| KeyError::Locked(self.path.clone(), error))?;
        let key = SecretKey::from_seed(*seed);
        if key.public() == self.public { Ok(key) } else { Err(KeyError::PublicKey(self.path)) }
    }
}

/// Reads and unlocks a key file.
///
/// # Errors
/// The rule that is broken.
pub fn load(path: &Path, passphrases: &PassphraseSource) -> Result<SecretKey, KeyError> {
    KeyFile::read(path)?.unlock(passphrases)
}

/// Makes a key file, and the folders above it, locked if there is a passphrase. An existing file is left alone.
///
/// # Errors
/// When there is one, or it cannot be written.
pub fn create(path: &Path, key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<(), KeyError> {
    if path.symlink_metadata().is_ok() {
        return Err(KeyError::Exists(path.into()));
    }
    let text = document(key, passphrase)?;
    let failed = |error| KeyError::Write(path.into(), error);
    create_folder(folder_of(path)).map_err(failed)?;
    let partial = write_beside(path, &text)?;
    // A link, unlike a rename, fails if somebody has made the file in the meantime.
    let linked = std::fs::hard_link(&partial, path);
    std::fs::remove_file(&partial).map_err(failed)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyError::Exists(path.into())),
        linked => linked.and_then(|()| sync_folder(path)).map_err(failed),
    }
}

/// Locks a plain key file in place; at no moment is there no file, or half a one.
///
/// # Errors
/// When it is locked already or cannot be read or written.
pub fn lock(path: &Path, passphrases: &PassphraseSource) -> Result<PublicKey, KeyError> {
    let file = KeyFile::read(path)?;
    let Secret::Plain(key) = file.secret else { return Err(KeyError::AlreadyLocked(path.into())) };
    let passphrase = passphrases.choose(&path.display().to_string())?;
    let partial = write_beside(path, &document(&key, Some(&passphrase))?)?;
    let renamed = std::fs::rename(&partial, path).and_then(|()| sync_folder(path));
    renamed.map_err(|error| KeyError::Write(path.into(), error))?;
    Ok(file.public)
}

/// Makes a folder that only its owner may enter, and those above it.
///
/// # Errors
/// As the system says.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn document(key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
    let public = key.public();
    let seed = Zeroizing::new(key.seed());
    let head = "# A secret key of Conclave. Whoever has it can act for its owner: keep it to yourself.\n";
    let common = |kind| format!("{head}version = {VERSION}\nkind = \"{kind}\"\npublic = \"{public}\"\n");
    let Some(passphrase) = passphrase else {
        let seed = Zeroizing::new(to_hex(seed.as_slice()));
        return Ok(Zeroizing::new(format!("{}seed = \"{}\"\n", common("plain"), *seed)));
    };
    let locked = cipher::lock(&seed, &public, passphrase)?;
    Ok(Zeroizing::new(format!(
        "{}memory_kib = {}\niterations = {}\nparallelism = {}\nsalt = \"{}\"\nnonce = \"{}\"\nciphertext = \"{}\"\n",
        common("encrypted"),
        locked.memory_kib,
        locked.iterations,
        locked.parallelism,
        to_hex(&locked.salt),
        to_hex(&locked.nonce),
        to_hex(&locked.ciphertext),
    )))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes `text` to a new file in the same folder, on disk when this returns.
fn write_beside(path: &Path, text: &str) -> Result<PathBuf, KeyError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder_of(path).join(format!(".{name}.{}", to_hex(random::<8>()?.as_slice())));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| KeyError::Write(path.into(), error))?;
    Ok(partial)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn hexadecimal<const N: usize>(field: &str, text: &str) -> Result<[u8; N], String> {
    let bytes = from_hex(text).map_err(|error| format!("{field}: {error}"))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| format!("{field}: expected {N} bytes, found {length}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn passphrase_file(folder: &Path, text: &str) -> PassphraseSource {
        let path = folder.join(format!("passphrase-{text}"));
        std::fs::write(&path, format!("{text}\nsecond line\n")).unwrap();
        PassphraseSource { file: Some(path) }
    }

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    #[test]
    fn a_plain_key_reads_back_from_a_file_of_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/deep/a.key");
        create(&path, &key(), None).unwrap();
        assert_eq!(load(&path, &PassphraseSource::default()).unwrap().seed(), [7; 32]);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing partial is left");
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        create(&path, &key(), None).unwrap();
        let other = SecretKey::from_seed([8; 32]);
        assert!(matches!(create(&path, &other, None), Err(KeyError::Exists(_))));
        assert_eq!(load(&path, &PassphraseSource::default()).unwrap().seed(), [7; 32]);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        create(&path, &key(), None).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::read(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{mode:o}: {error}");
        }
    }

    #[test]
    fn a_locked_key_opens_with_its_passphrase_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let right = passphrase_file(folder.path(), "right");
        create(&path, &key(), None).unwrap();
        assert_eq!(lock(&path, &right).unwrap(), key().public());
        assert!(KeyFile::read(&path).unwrap().is_encrypted());
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&to_hex(&[7; 32])));
        assert_eq!(load(&path, &right).unwrap().seed(), [7; 32]);
        let wrong = load(&path, &passphrase_file(folder.path(), "wrong"));
        assert!(matches!(wrong, Err(KeyError::Locked(_, CipherError::Passphrase))));
        assert!(matches!(lock(&path, &right), Err(KeyError::AlreadyLocked(_))));
        // With another public key the ciphertext is another one's.
        let text = std::fs::read_to_string(&path).unwrap();
        let other = SecretKey::from_seed([8; 32]).public().to_string();
        std::fs::write(&path, text.replace(&key().public().to_string(), &other)).unwrap();
        assert!(matches!(load(&path, &right), Err(KeyError::Locked(_, CipherError::Passphrase))));
    }

    #[test]
    fn a_damaged_file_is_refused_with_the_reason() {
        let (path, public) = (Path::new("a.key"), key().public());
        let seed = to_hex(&[7; 32]);
        for (text, reason) in [
            (String::new(), "kind"),
            ("version = 1".into(), "kind"),
            (format!("version = 2\nkind = \"plain\"\npublic = \"{public}\"\nseed = \"{seed}\""), "version 2"),
            (format!("version = 1\nkind = \"plain\"\npublic = \"{public}\"\nseed = \"77\""), "seed"),
            (
                format!("version = 1\nkind = \"plain\"\npublic = \"{public}\"\nseed = \"{seed}\"\nx = 1"),
                "unknown field",
            ),
            (
                format!(
                    "version = 1\nkind = \"plain\"\npublic = \"{}\"\nseed = \"{seed}\"",
                    to_hex(&[8; 32])
                ),
                "public key",
            ),
        ] {
            let error = KeyFile::parse(path, &text).unwrap_err().to_string();
            assert!(error.contains("a.key") && error.contains(reason), "{text}: {error}");
        }
        let greedy = format!(
            "version = 1\nkind = \"encrypted\"\npublic = \"{public}\"\nmemory_kib = 4000000000\niterations = 1\n\
             parallelism = 1\nsalt = \"{}\"\nnonce = \"{}\"\nciphertext = \"{}\"",
            to_hex(&[0; 16]),
            to_hex(&[0; 12]),
            to_hex(&[0; 48])
        );
        let folder = tempfile::tempdir().unwrap();
        let error = KeyFile::parse(path, &greedy).unwrap().unlock(&passphrase_file(folder.path(), "any"));
        assert!(matches!(error, Err(KeyError::Locked(_, CipherError::Parameters))));
    }
}
