//! Writes the inputs to begin with into a folder for each target, as the fuzzer reads them: `seeds FOLDER`.

use std::{fs, path::PathBuf};

fn main() -> std::io::Result<()> {
    let folder =
        PathBuf::from(std::env::args_os().nth(1).ok_or_else(|| std::io::Error::other("seeds FOLDER"))?);
    for (number, (target, bytes)) in conclave_fuzz_targets::seeds::all().into_iter().enumerate() {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(format!("seed-{number:02}")), bytes)?;
    }
    Ok(())
}
