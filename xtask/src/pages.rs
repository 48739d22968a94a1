//! The suite `pages`: every fenced block of the README, of `docs/*.md` and of `docs/guide/` is done as it stands there.
//!
//! Shell blocks run in the page's order, in a folder of the page's own, against a hub that is started as the page says;
//! only its port differs. What a page prints below a command is compared with what came (`compare.rs`). A block that no
//! rule knows (`rules.rs`) fails.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::root::Root;

mod blocks;
mod commands;
mod compare;
mod desk;
mod process;
mod redis;
mod rules;
mod tools;

use blocks::Block;
use desk::Desk;
use rules::Kind;
use tools::Tools;

/// List the pages whose Rust is run with the doc tests: of the library, and of the crate that a page is about.
const DOC_TESTS: [&str; 2] = ["crates/tapeline/src/lib.rs", "crates/tapeline-pipeline/src/lib.rs"];
const GUIDE: &str = "docs/guide";
const README: &str = "README.md";

/// Builds, installs, and works through the pages; one that fails does not stop the others.
pub(crate) fn run(root: &Root) -> Result<()> {
    let tools = Tools::open(root)?;
    let doc_tests = DOC_TESTS.map(|list| fs::read_to_string(root.dir.join(list)));
    let doc_tests = doc_tests.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let mut failed = 0;
    for page in Tools::pages(root)? {
        let started = Instant::now();
        let blocks = blocks::read(&fs::read_to_string(root.dir.join(&page))?);
        if blocks.is_empty() {
            continue;
        }
        let result = work_through(&tools, &page, &blocks, &doc_tests);
        let seconds = started.elapsed().as_secs_f64();
        println!("{:<28} {:>3} blocks {seconds:>5.1} s", page.display(), blocks.len());
        if let Err(error) = result {
            failed += 1;
            println!("{}:{error:#}", page.display());
        }
    }
    if failed > 0 {
        bail!("{failed} of the pages do not say what happens");
    }
    Ok(())
}

fn work_through(tools: &Tools, page: &Path, blocks: &[Block], doc_tests: &str) -> Result<()> {
    let mut desk = Desk::open(tools, &page.display().to_string().replace(['/', '.'], "-"))?;
    if !(page.starts_with(GUIDE) || page == Path::new(README)) {
        // A page about one thing need not begin with how to start a hub.
        desk.start_hub()?;
    }
    let mut above = None;
    let mut after = blocks.iter();
    while let Some(block) = after.next() {
        let next = after.as_slice().first();
        let below =
            next.filter(|next| matches!(rules::kind(next, Some(block.language.as_str())), Ok(Kind::Output)));
        let done = rules::kind(block, above).and_then(|kind| match kind {
            Kind::Shell => desk.shell(block, below),
            Kind::Output | Kind::Skip(_) => Ok(()),
            Kind::Rust => listed(page, doc_tests),
            Kind::Configuration => {
                desk.save("block.toml", block)?;
                desk.check_configuration("block.toml")
            }
            Kind::Saved(name) => {
                desk.save(&name, block)?;
                if block.language == "toml" {
                    return desk.check_configuration(&name);
                }
                used(&name, after.as_slice())
            }
        });
        done.with_context(|| block.line.to_string())?;
        above = Some(block.language.as_str());
    }
    desk.close()
}

/// A page with Rust stands among the pages of the doc tests.
fn listed(page: &Path, doc_tests: &str) -> Result<()> {
    if doc_tests.contains(&format!("include_str!(\"../../../{}\")", page.display())) {
        return Ok(());
    }
    bail!("neither of {} lists the page, so its Rust is never compiled", DOC_TESTS.join(", "))
}

/// A saved file is named by a command further down, or its module is, as in `uvicorn main:app`.
fn used(name: &str, later: &[Block]) -> Result<()> {
    let module = name.strip_suffix(".py").map(|module| format!(" {module}:"));
    let names =
        |text: &str| text.contains(name) || module.as_ref().is_some_and(|module| text.contains(module));
    if later.iter().any(|block| block.language == "sh" && names(&block.text)) {
        return Ok(());
    }
    bail!("no command below uses {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_of_a_page_that_is_not_listed_is_a_finding() {
        let listing = "#[doc = include_str!(\"../../../docs/library.md\")]";
        assert!(listed(Path::new("docs/library.md"), listing).is_ok());
        assert!(listed(Path::new("docs/other.md"), listing).is_err());
    }

    #[test]
    fn a_saved_file_that_nothing_uses_is_a_finding() {
        let later = blocks::read("```sh\npython3 price.py\n```\n");
        assert!(used("price.py", &later).is_ok());
        assert!(used("other.py", &later).is_err());
        let later = blocks::read("```sh\npython3 -m uvicorn main:app\n```\n");
        assert!(used("main.py", &later).is_ok());
        assert!(used("app.py", &later).is_err());
    }
}
