//! What the runner does with each command and each block of a page, and why. What no rule here knows fails the suite, so
//! that nothing stands in a page that nobody tried.

use anyhow::{Result, bail};

use super::blocks::Block;

/// What is done with a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not run; the reason says what stands for it.
    Skip(&'static str),
    /// The page's hub is started with these words after `tapeline`; the one before it ends.
    Hub(String),
    /// Typed, then spoken to: the rest of its block is a dialogue.
    Dialogue(String),
    /// Runs until the page ends.
    Endless(String),
    /// Runs to its end.
    Run(String),
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shell,
    /// What the shell block above prints.
    Output,
    /// Saved under this name; a later command of the page uses it.
    Saved(String),
    /// Read as a hub would read it.
    Configuration,
    /// Run with the doc tests of the library.
    Rust,
    /// Not run; the reason says why.
    Skip(&'static str),
}

/// Commands that are not run as they stand, by how they begin.
const SKIPPED: &[(&str, &str)] = &[
    ("cargo xtask ", "suites and simulator have their own place in `cargo xtask test`"),
    (
        "RUSTC_BOOTSTRAP=1 cargo fuzz ",
        "never ends; what it checks is run by `cargo test --test fuzzing` on kept input",
    ),
    ("cargo install --path crates/tapeline-cli", "the binary that was just built is on the PATH"),
    ("npm install ", "installed as the lock file says"),
    (
        "tapeline serve --feed kraken ",
        "the exchange is out of reach of a test; the command's own tests have a stand-in of it",
    ),
    ("tapeline feed kraken ", "the same"),
    (
        "python3 futu_gateway.py ",
        "the vendor's SDK needs its gateway and an account; lines like its own are read below",
    ),
    ("python3 -m venv .venv", "the tests' own environment is linked there"),
    (".venv/bin/python -m pip install ", "the tests' own environment has them"),
];

/// A cargo command that is the binary, already built.
const CARGO_RUN: &str = "cargo run --release -- ";
/// Cargo commands that are examples of the libraries, already built.
const CARGO_EXAMPLES: [&str; 2] =
    ["cargo run -p tapeline --example ", "cargo run -p tapeline-pipeline --example "];

/// Programs that pages use as they are.
const PROGRAMS: &[&str] = &[
    "tapeline",
    "curl",
    "cat",
    "echo",
    "node",
    "npx",
    "openssl",
    "python3",
    "redis-cli",
    "umask",
    ".venv/bin/python",
];

/// True for a script that changes nothing and counts how things stand.
pub(super) fn only_looks(script: &str) -> bool {
    script.trim() == "tapeline stats"
}

/// What to do with a command.
pub(super) fn step(command: &str) -> Result<Step> {
    if let Some((_, reason)) = SKIPPED.iter().find(|(start, _)| command.starts_with(start)) {
        return Ok(Step::Skip(reason));
    }
    let command = if let Some(args) = command.strip_prefix(CARGO_RUN) {
        format!("tapeline {args}")
    } else if let Some(example) = CARGO_EXAMPLES.iter().find_map(|start| command.strip_prefix(start)) {
        let example = format!("\"$EXAMPLES\"/{example}");
        // One that is given a hub listens to it until it is stopped.
        return Ok(if example.contains(" ws://") { Step::Endless(example) } else { Step::Run(example) });
    } else {
        command.to_owned()
    };
    if let Some(command) = command.strip_suffix(" &") {
        return Ok(Step::Endless(command.to_owned()));
    }
    // Variables may be set for a command.
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    let program = words.next().unwrap_or_default();
    let has = |flag: &str| command.split_whitespace().any(|word| word == flag);
    Ok(match (program, words.next()) {
        ("tapeline", Some("serve")) => {
            Step::Hub(command.strip_prefix("tapeline ").unwrap_or(&command).to_owned())
        }
        ("tapeline", Some("sub")) if !has("--count") => Step::Endless(command),
        ("tapeline", Some("top")) => Step::Endless(command),
        ("tapeline", Some("monitor")) if !has("--once") => Step::Endless(command),
        ("tapeline", Some("stats")) if has("--watch") => Step::Endless(command),
        ("wscat", _) => Step::Dialogue(command),
        _ if PROGRAMS.contains(&program) => Step::Run(command),
        _ => bail!("no rule for the command `{command}`; xtask/src/pages/rules.rs has them"),
    })
}

/// What to do with a block; `above` is the language of the block before it.
pub(super) fn kind(block: &Block, above: Option<&str>) -> Result<Kind> {
    Ok(match (block.language.as_str(), block.file_name()) {
        ("sh", _) => Kind::Shell,
        ("json" | "text", _) if block.follows && above == Some("sh") => Kind::Output,
        ("text", _) => Kind::Skip("text is read, not run"),
        ("yaml", _) => Kind::Skip("Prometheus' configuration: the suite `metrics` has promtool check it"),
        ("rust", _) => Kind::Rust,
        ("toml", Some(name)) => Kind::Saved(name.to_owned()),
        ("toml", None) if block.text.starts_with("[dependencies]") => {
            Kind::Skip("for the reader's Cargo.toml; the doc tests are built with the same crates")
        }
        ("toml", None) => Kind::Configuration,
        ("python" | "js" | "ts", Some(name)) => Kind::Saved(name.to_owned()),
        ("python" | "js" | "ts", None) => {
            bail!("name the file in the block's first line, as in `# price.py`, and run it below")
        }
        (language, _) => {
            bail!("no rule for a block of `{language}`; xtask/src/pages/rules.rs has them")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::blocks;

    fn kinds(page: &str) -> Vec<Result<Kind>> {
        let blocks = blocks::read(page);
        let above = std::iter::once(None).chain(blocks.iter().map(|block| Some(block.language.as_str())));
        blocks.iter().zip(above).map(|(block, above)| kind(block, above)).collect()
    }

    #[test]
    fn a_command_that_no_rule_knows_is_refused() {
        let error = step("rm -r x").unwrap_err().to_string();
        assert!(error.contains("no rule for the command `rm -r x`"), "{error}");
        assert!(step("cargo build").is_err());
    }

    #[test]
    fn cargo_is_replaced_by_what_it_has_built() {
        assert_eq!(step("cargo run --release -- serve --demo").unwrap(), Step::Hub("serve --demo".into()));
        let example = step("cargo run -p tapeline --example hello").unwrap();
        assert_eq!(example, Step::Run("\"$EXAMPLES\"/hello".into()));
        let example = step("cargo run -p tapeline --example prices ws://127.0.0.1:8000").unwrap();
        assert!(matches!(example, Step::Endless(_)));
        let example = step("cargo run -p tapeline-pipeline --example basic").unwrap();
        assert_eq!(example, Step::Run("\"$EXAMPLES\"/basic".into()));
        assert!(matches!(step("cargo xtask test").unwrap(), Step::Skip(_)));
        assert!(matches!(step("RUSTC_BOOTSTRAP=1 cargo fuzz run native").unwrap(), Step::Skip(_)));
    }

    #[test]
    fn a_subscription_without_a_count_is_endless() {
        assert!(matches!(step("tapeline sub news").unwrap(), Step::Endless(_)));
        assert!(matches!(step("tapeline sub news --count 1").unwrap(), Step::Run(_)));
        assert!(matches!(step("wscat -c ws://127.0.0.1:8000/ws").unwrap(), Step::Dialogue(_)));
    }

    #[test]
    fn a_command_in_the_background_is_endless_and_may_have_variables() {
        let worker = "REDIS_URL=redis://127.0.0.1:6380 python3 worker.py";
        assert_eq!(step(&format!("{worker} &")).unwrap(), Step::Endless(worker.into()));
        assert_eq!(step(worker).unwrap(), Step::Run(worker.into()));
        assert!(step("A=b rm x").is_err());
    }

    #[test]
    fn json_is_output_below_a_command_and_unknown_elsewhere() {
        let found = kinds("```sh\nx\n```\n```json\n{}\n```\nwords\n```json\n{}\n```\n");
        assert!(matches!(found.as_slice(), [Ok(Kind::Shell), Ok(Kind::Output), Err(_)]));
        assert!(matches!(kinds("```go\nx\n```\n").as_slice(), [Err(_)]));
    }

    #[test]
    fn a_program_without_a_name_is_refused_and_one_with_a_name_is_saved() {
        assert!(matches!(kinds("```python\nx\n```\n").as_slice(), [Err(_)]));
        let [saved] = kinds("```python\n# a.py\nx\n```\n").try_into().unwrap();
        assert_eq!(saved.unwrap(), Kind::Saved("a.py".into()));
    }
}
