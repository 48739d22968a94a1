//! Recordings of others below `TAPELINE_DATA`, and the pieces of them that lie beside the tests.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// A file below `TAPELINE_DATA`, else below `shared/data` beside the repository. Without it the caller tests less, which
/// is said aloud; CI and a given `TAPELINE_DATA` must have it.
pub(crate) fn recording(path: &str) -> Option<String> {
    let given = std::env::var_os("TAPELINE_DATA").map(PathBuf::from);
    let must = given.is_some() || std::env::var_os("CI").is_some();
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = given.unwrap_or_else(beside).join(path);
    let read = std::fs::read(&path).map(|bytes| {
        let mut text = String::new();
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        let read = match is_compressed {
            true => MultiGzDecoder::new(&*bytes).read_to_string(&mut text),
            false => bytes.as_slice().read_to_string(&mut text),
        };
        read.map(|_| text).unwrap()
    });
    if let Err(error) = &read {
        let told = format!("{}: {error}; set TAPELINE_DATA to its folder", path.display());
        assert!(!must, "{told}");
        eprintln!("SKIPPED, the recording was not replayed: {told}");
    }
    read.ok()
}

/// A file beside the tests.
pub(crate) fn captured(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Drops what stands before the message in each line, and keeps books.
pub(crate) fn books(lines: &str) -> Vec<&str> {
    let message = |line| str::find(line, '{').map(|at| &line[at..]);
    lines.lines().filter_map(message).filter(|message| message.contains(r#""channel":"book""#)).collect()
}
