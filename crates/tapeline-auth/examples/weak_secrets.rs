//! Writes `src/known_secrets.bin` from a list of publicly known secrets, one a line:
//! `cargo run -p tapeline-auth --example weak_secrets -- LIST`.

use std::path::Path;

use tapeline_auth::secret::{SECRET_BYTES, prefix};

fn main() -> std::io::Result<()> {
    let list = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("give the list of secrets"))?;
    let text = std::fs::read(list)?;
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut known: Vec<_> = lines.filter(|line| line.len() >= SECRET_BYTES).map(prefix).collect();
    known.sort_unstable();
    known.dedup();
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/known_secrets.bin"), known.concat())
}
