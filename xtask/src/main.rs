//! The project's own checks and test runner, reached as `cargo xtask`.
//!
//! One file per subcommand: `tidy`, `codegen`, `test`, `conformance`, `overhead`, `sim`, `soak`. Everything here drives other programs or reads
//! files; nothing of the product is linked in, so this builds in seconds and still runs when a crate of the product does not compile.

use std::process::ExitCode;

use anyhow::{Result, bail};

mod browser;
mod codegen;
mod conformance;
mod debian;
mod deny;
mod documents;
mod doors;
mod go;
mod hostile;
mod metrics;
mod node;
mod overhead;
mod pages;
mod redis_py;
mod root;
mod server;
mod sim;
mod soak;
mod spec;
mod suites;
mod test;
mod tidy;
mod venv;

use root::Root;

const HELP: &str = "\
cargo xtask COMMAND

    tidy                            check what clippy cannot: module docs, sizes, crate arrows, links, paths
    codegen [--check]               write the generated files, or name the stale ones
    test [--only NAME]              run every suite, or one of them
    conformance [--all]             Autobahn's WebSocket cases, with --all also those that take minutes, and the suites of
                                    Engine.IO and Socket.IO
    overhead                        what counting costs a delivery, in instructions (needs valgrind)
    soak                            kill a hub under load twenty times and count what it has afterwards
    sim [--seed N] [--seconds S]    run the seeded simulator
    help                            print this

Suites of `test`, in order:
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}{}", test::list());
            Ok(())
        }
        ["tidy"] => tidy::run(&Root::open()?),
        ["codegen"] => codegen::run(&Root::open()?),
        ["codegen", "--check"] => codegen::check(&Root::open()?),
        ["test"] => test::run(&Root::open()?, None),
        ["test", "--only", name] => test::run(&Root::open()?, Some(name)),
        ["conformance"] => conformance::run_with(&Root::open()?, &[]),
        ["conformance", "--all"] => conformance::run_with(&Root::open()?, &["--all"]),
        ["overhead"] => overhead::measure(&Root::open()?),
        ["soak"] => soak::run(&Root::open()?),
        ["sim", flags @ ..] => sim::run(&Root::open()?, flags),
        other => bail!("unknown command `{}`; `cargo xtask help` lists them", other.join(" ")),
    }
}
