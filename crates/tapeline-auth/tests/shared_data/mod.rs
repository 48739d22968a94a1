//! The collections of tokens and secrets that others have made.

use std::path::PathBuf;

/// A file below `TAPELINE_DATA`, else below `shared/data` beside the repository. Without it the caller tests nothing, which is
/// said aloud; CI and a given `TAPELINE_DATA` must have it.
pub(crate) fn text(path: &str) -> Option<String> {
    let given = std::env::var_os("TAPELINE_DATA").map(PathBuf::from);
    let must = given.is_some() || std::env::var_os("CI").is_some();
    let root =
        given.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let path = root.join(path);
    let read = std::fs::read_to_string(&path);
    if let Err(error) = &read {
        let told = format!("{}: {error}; set TAPELINE_DATA to its folder", path.display());
        assert!(!must, "{told}");
        eprintln!("SKIPPED, nothing was judged: {told}");
    }
    read.ok()
}
