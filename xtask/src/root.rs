//! The repository that is checked: where it lies, where cargo builds it, which files belong to it, how a program
//! is run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How the variables begin that the binary takes settings from.
const SETTINGS: &str = "TAPELINE_";

/// The repository, looked at once; every subcommand starts here.
pub(crate) struct Root {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) dir: PathBuf,
    /// Cargo's target directory, wherever the environment puts it.
    pub(crate) target: PathBuf,
    /// What `cargo metadata --no-deps` said.
    pub(crate) metadata: Value,
}

impl Root {
    /// Asks cargo about the workspace that xtask belongs to.
    pub(crate) fn open() -> Result<Self> {
        // `cargo run` sets the variable anew each time; the compiled-in value serves a binary started by hand.
        let manifest_dir =
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let dir =
            Path::new(&manifest_dir).parent().context("xtask lies in the workspace's folder")?.to_owned();
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&dir);
        let metadata: Value = serde_json::from_str(&output(&mut command)?)?;
        let target = text(&metadata, "target_directory")?.into();
        Ok(Self { dir, target, metadata })
    }

    /// A program that will run in the repository's folder.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self::program(program);
        command.current_dir(&self.dir);
        command
    }

    /// Runs cargo with its output going straight to the terminal.
    pub(crate) fn cargo(&self, args: &[&str]) -> Result<()> {
        run(&mut self.cargo_command(args))
    }

    /// Cargo, about to run in the repository's folder.
    pub(crate) fn cargo_command(&self, args: &[&str]) -> Command {
        let mut command = cargo();
        command.args(args).current_dir(&self.dir);
        command
    }

    /// Files of the repository, relative to it: tracked ones and new ones that are not ignored, so that a finding
    /// shows before the commit. Files deleted but not yet committed are left out.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut git = self.command("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = output(&mut git).context("listing the repository's files (package git)")?;
        let mut files: Vec<PathBuf> =
            listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
        files.sort();
        files.dedup();
        files.retain(|file| self.dir.join(file).is_file());
        Ok(files)
    }
}

/// A program about to run without what a hub or a command would take from the environment: whoever runs the suites may have
/// set some of it.
pub(crate) fn program(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_string_lossy().starts_with(SETTINGS)).for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// A field of cargo's metadata that is a string.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value.get(field).and_then(Value::as_str).with_context(|| format!("cargo metadata has no `{field}`"))
}

/// Runs a program to its end and fails with its command line when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Whether a program succeeds, and what it prints to standard output; its errors go to the terminal.
pub(crate) fn answer(mut command: Command) -> Result<(bool, String)> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", line(&command)))?;
    Ok((output.status.success(), String::from_utf8(output.stdout)?))
}

/// What a program prints to standard output.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Cargo, without what the cargo that runs this has said of this package: build scripts that look at such variables would
/// build their crates, and all above them, anew each time that somebody calls cargo directly in between.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    command
}

/// The command as one would type it; the program without its folder.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
