//! A script that Redis runs: sent by its digest, and whole only to a Redis that does not know it yet.

use std::fmt::Write;
use std::sync::OnceLock;

use sha1::{Digest, Sha1};

use super::resp::Command;

/// See the module. One static value a script.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script in Lua.
    pub const fn new(source: &'static str) -> Self {
        Script { source, digest: OnceLock::new() }
    }

    /// Runs it; the keys come first in a cluster too, then the caller adds the arguments.
    pub fn command<K: AsRef<[u8]>>(&'static self, keys: &[K]) -> Command {
        let mut command = Command::new("EVALSHA").arg(self.digest()).number(keys.len() as u64).args(keys);
        command.script = Some(self);
        command
    }

    /// Makes Redis know it.
    pub(super) fn load(&self) -> Command {
        Command::new("SCRIPT LOAD").arg(self.source)
    }

    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            Sha1::digest(self.source).iter().fold(String::with_capacity(40), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_named_by_its_sha1() {
        static SCRIPT: Script = Script::new("return 1");
        assert_eq!(SCRIPT.digest(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
