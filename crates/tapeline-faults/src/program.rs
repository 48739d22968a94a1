//! How tests start programs and name files: what the one who runs the tests has in the environment changes no program,
//! and what a killed run left behind is found by nobody.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// A program about to run without the settings that it would take from the environment: the variables that begin with its
/// own name (`PROGRAM_…`).
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    without_settings(&mut command, program);
    command
}

/// The same for a command that runs the program by way of another, such as a shell.
pub fn without_settings(command: &mut Command, program: &str) {
    for name in settings_of(program, std::env::vars_os().map(|(name, _)| name)) {
        command.env_remove(name);
    }
}

fn settings_of<N: AsRef<OsStr>>(program: &str, names: impl Iterator<Item = N>) -> Vec<N> {
    let stem = Path::new(program).file_stem().and_then(OsStr::to_str).unwrap_or(program);
    let prefix = format!("{}_", stem.to_uppercase());
    names.filter(|name| name.as_ref().to_str().is_some_and(|name| name.starts_with(&prefix))).collect()
}

/// A path for a file or a folder that nobody else has or has had: process ids come again, the time does not.
pub fn temporary(ending: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    // Short, since the path of a socket must be.
    std::env::temp_dir().join(format!("tapeline-test-{}-{time:x}-{count}.{ending}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_program_are_the_variables_that_begin_with_its_name() {
        let names = ["TAPELINE_LOG", "TAPELINE_SERVE__LISTEN", "TAPELINE", "PATH", "MY_TAPELINE_LOG"];
        let of_tapeline = settings_of("/any/where/tapeline", names.into_iter());
        assert_eq!(of_tapeline, ["TAPELINE_LOG", "TAPELINE_SERVE__LISTEN"]);
    }

    #[test]
    fn what_is_in_the_environment_of_the_tests_is_removed_and_what_a_test_sets_stays() {
        // Of the variables that are there in every test, by the name of a program that would be set by them.
        let (name, _) = std::env::vars().find(|(name, _)| name.starts_with("CARGO_")).expect("cargo runs it");
        let mut command = command("cargo");
        assert!(command.get_envs().any(|(removed, value)| removed == &*name && value.is_none()));
        command.env(&name, "given");
        assert!(command.get_envs().any(|(given, value)| given == &*name && value.is_some()));
    }

    #[test]
    fn no_two_temporary_paths_are_the_same_and_nothing_is_there() {
        let (one, two) = (temporary("x"), temporary("x"));
        assert_ne!(one, two);
        assert!(!one.exists() && !two.exists());
    }
}
