//! Source files: each Rust file opens with its doc, none is too long, none switches a lint off with `allow`.

use std::path::Path;

use super::{File, Finding};

/// Lines a source file may have, its tests not counted.
const LINES: usize = 500;

/// The languages that the limit on length is for.
const SOURCE: &[&str] = &["css", "js", "jsx", "mjs", "py", "rs", "sh", "ts", "tsx"];

/// Put together here, so that this file does not find itself.
const ALLOW: [&str; 2] = [concat!("#[", "allow("), concat!("#![", "allow(")];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let extension = file.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension == "rs" {
        findings.extend(opening(file));
        findings.extend(allows(file));
    }
    let lines = counted(&file.path, &file.text);
    if SOURCE.contains(&extension) && lines > LINES {
        findings.push(Finding::new(
            &file.path,
            LINES + 1,
            format!("{lines} lines without tests, the limit is {LINES}"),
        ));
    }
    findings
}

/// The first line must be a doc that says something.
fn opening(file: &File) -> Option<Finding> {
    let said = file.text.lines().next().and_then(|line| line.strip_prefix("//!"));
    if said.is_some_and(|doc| !doc.trim().is_empty()) {
        return None;
    }
    Some(Finding::new(
        &file.path,
        1,
        "opens without a `//!` doc: what it is, what it owns, what it refuses to know",
    ))
}

fn allows(file: &File) -> impl Iterator<Item = Finding> {
    let code = file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let found = code.filter(|(_, line)| ALLOW.iter().any(|needle| line.contains(needle)));
    found.map(|(at, _)| {
        Finding::new(&file.path, at + 1, "`allow` is not used here; write `#[expect(.., reason = ..)]`")
    })
}

/// How many of a file's lines count against the limit.
fn counted(path: &Path, text: &str) -> usize {
    if is_test(path) {
        return 0;
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_tail = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", module] if *module == "mod tests {");
    lines.windows(2).position(is_tail).unwrap_or(lines.len())
}

/// Files that are tests as a whole.
fn is_test(path: &Path) -> bool {
    let named = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
    named || path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "testkit")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = File { path: path.into(), text: text.into() };
        check(&file).into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    fn first(path: &str, text: &str) -> String {
        messages(path, text)
            .into_iter()
            .map(|(line, message)| format!("{line}: {message}"))
            .next()
            .unwrap_or_default()
    }

    #[test]
    fn a_rust_file_without_a_doc_on_its_first_line_is_found() {
        assert!(first("a.rs", "use std::fs;\n").starts_with("1: opens without"));
        assert!(first("a.rs", "//!\n//! late\n").starts_with("1: opens without"));
        assert!(first("a.rs", "").starts_with("1: opens without"));
        assert_eq!(first("a.rs", "//! What it is.\n"), "");
        assert_eq!(first("a.py", "import os\n"), "");
    }

    #[test]
    fn allow_is_found_in_code_and_not_in_comments() {
        let [outer, inner] = ALLOW;
        assert!(first("a.rs", &format!("//! Doc.\n    {outer}dead_code)]\n")).starts_with("2: `allow`"));
        assert!(first("a.rs", &format!("//! Doc.\n{inner}dead_code)]\n")).starts_with("2: `allow`"));
        assert_eq!(first("a.rs", &format!("//! Doc.\n// {outer}dead_code)]\n")), "");
    }

    #[test]
    fn a_file_over_the_limit_is_found_and_its_tests_do_not_count() {
        let full = "//! Doc.\n".to_owned() + &"x\n".repeat(LINES - 1);
        assert_eq!(first("src/a.rs", &full), "");
        assert!(first("src/a.rs", &(full.clone() + "x\n")).contains("501 lines"));
        assert_eq!(
            first("src/a.rs", &(full.clone() + "#[cfg(test)]\nmod tests {\n" + &"x\n".repeat(90))),
            ""
        );
        for path in ["src/a_tests.rs", "src/tests.rs", "tests/a.rs", "src/testkit/a.rs"] {
            assert_eq!(first(path, &(full.clone() + "x\n")), "", "{path}");
        }
    }
}
