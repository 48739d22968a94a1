//! The protocols' own suites for Engine.IO and Socket.IO, as part of the suite `conformance`: fetched at a pinned commit below
//! the target directory, nothing of them is kept here. What a machine that cannot fetch them is told is said here too.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::node;
use crate::root::{Root, answer, run as run_command};

/// Where clones of the repositories are, for machines that cannot reach them: a folder with `NAME` or `NAME.git` of each.
const CLONES: &str = "PROTOCOL_SUITES";
/// Where the suites look for their server.
const THEIRS: &str = "localhost:3000";

struct Suite {
    name: &'static str,
    commit: &'static str,
    cases: u32,
}

/// The cases are all that a suite has at its commit.
const SUITES: [Suite; 2] = [
    Suite { name: "engine.io-protocol", commit: "f21de7b00ed09b3bbad2807db718ea5d6bc36aba", cases: 24 },
    Suite { name: "socket.io-protocol", commit: "4f633dd6a4445492d57af3b27ddd2d336014f1f1", cases: 32 },
];

impl Suite {
    fn source(&self) -> String {
        format!("https://github.com/socketio/{}", self.name)
    }

    /// The clone on this machine, if somebody has put one there.
    fn clone(&self) -> Option<PathBuf> {
        let folder = PathBuf::from(std::env::var_os(CLONES)?);
        let names = [self.name.to_owned(), format!("{}.git", self.name)];
        names.into_iter().map(|name| folder.join(name)).find(|path| path.exists())
    }

    /// Its folder at the pinned commit with its own packages; nothing where it cannot be had.
    fn fetched(&self, root: &Root) -> Result<Option<PathBuf>> {
        let dir = root.target.join("tools/suites").join(self.name);
        let stamp = dir.join("fetched");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == self.commit) {
            return Ok(Some(dir.join("test-suite")));
        }
        fs::create_dir_all(&dir)?;
        let git = |words: &[&str]| {
            let mut git = root.command("git");
            git.arg("-C").arg(&dir).args(words).env("GIT_TERMINAL_PROMPT", "0");
            answer(git)
        };
        git(&["init", "--quiet"])?;
        let source = self.clone().map_or_else(|| self.source(), |path| path.to_string_lossy().into_owned());
        if !git(&["fetch", "--quiet", "--depth", "1", &source, self.commit])?.0 {
            return Ok(None);
        }
        if !git(&["checkout", "--quiet", "--force", "FETCH_HEAD"])?.0 {
            bail!("{} could not be checked out", self.name);
        }
        let tests = dir.join("test-suite");
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
        run_command(root.command("npm").args(install).arg(&tests))?;
        // Written last: an interrupted fetch leaves no stamp and is done again.
        fs::write(stamp, self.commit)?;
        Ok(Some(tests))
    }

    fn run(&self, root: &Root, tests: &Path, port: u16) -> Result<()> {
        let text = fs::read_to_string(tests.join("test-suite.js")).context(self.name)?;
        let here = tests.join("here.mjs");
        fs::write(&here, text.replace(THEIRS, &format!("127.0.0.1:{port}")))?;
        let mut mocha = root.command("node");
        mocha.arg(tests.join("node_modules/mocha/bin/mocha")).arg(&here).arg("--exit");
        let (ok, said) = answer(mocha)?;
        println!("{said}");
        let passed = passing(&said);
        if !ok || passed != Some(self.cases) {
            bail!("{}: {} of {} cases passed", self.name, passed.unwrap_or_default(), self.cases);
        }
        println!("{} at {}: {} of {} cases passed", self.name, self.commit, self.cases, self.cases);
        Ok(())
    }
}

/// How many cases mocha says have passed.
fn passing(said: &str) -> Option<u32> {
    let line = said.lines().find_map(|line| line.trim().split_once(" passing"))?;
    line.0.parse().ok()
}

/// Runs both against a server in conformance mode. Answers which could not be had.
pub(crate) fn run(root: &Root, port: u16) -> Result<Vec<String>> {
    node::check(root)?;
    let mut missing = Vec::new();
    for suite in &SUITES {
        match suite.fetched(root)? {
            Some(tests) => suite.run(root, &tests, port)?,
            None => missing.push(format!(
                "{} at {}: neither {} nor a clone in the folder that {CLONES} names can be reached",
                suite.name,
                suite.commit,
                suite.source()
            )),
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_read_as_mocha_says_it() {
        assert_eq!(passing("\n  32 passing (4s)\n  1 failing\n"), Some(32));
        assert_eq!(passing("nothing"), None);
    }
}
