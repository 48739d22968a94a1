//! Relative links in Markdown must lead to a file or folder of the repository.
//!
//! Inline links, images and reference definitions are looked at; fenced blocks, code spans, web addresses and
//! anchors are not.

use std::path::{Component, Path, PathBuf};

use super::{File, Finding};

/// Findings of one file; `exists` answers for a path relative to the repository.
pub(super) fn check(file: &File, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    if file.path.extension().is_none_or(|extension| extension != "md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut fence = None;
    for (at, line) in file.text.lines().enumerate() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        if mark.is_some() && (fence.is_none() || fence == mark) {
            fence = if fence.is_none() { mark } else { None };
            continue;
        }
        if fence.is_some() {
            continue;
        }
        for target in targets(line) {
            let message = match resolved(&file.path, &target) {
                Some(path) if exists(&path) => continue,
                Some(_) => format!("the link to `{target}` leads nowhere"),
                None => format!("the link to `{target}` leaves the repository"),
            };
            findings.push(Finding::new(&file.path, at + 1, message));
        }
    }
    findings
}

/// The relative targets on a line, without their anchors.
fn targets(line: &str) -> Vec<String> {
    // Code spans are the odd pieces between backquotes; what stands there is not a link.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let definition =
        prose.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, to)| to);
    inline.chain(definition).filter_map(target).collect()
}

fn target(raw: &str) -> Option<String> {
    let raw = raw.split_whitespace().next()?.trim_start_matches('<').trim_end_matches('>');
    let path = raw.split(['#', '?']).next()?;
    let is_address = raw.contains("://") || raw.starts_with("mailto:") || raw.starts_with("//");
    (!path.is_empty() && !is_address).then(|| path.replace("%20", " "))
}

/// The target as a path from the repository's top; `None` when it climbs out.
fn resolved(file: &Path, target: &str) -> Option<PathBuf> {
    let (base, rest) = match target.strip_prefix('/') {
        Some(rest) => (Path::new(""), rest),
        None => (file.parent()?, target),
    };
    let mut path = PathBuf::new();
    for part in base.join(rest).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let there = ["README.md", "docs", "docs/a.md", "two words.md"];
        let file = File { path: path.into(), text: text.into() };
        let findings = check(&file, |path| {
            path.as_os_str().is_empty() || there.iter().any(|name| path == Path::new(name))
        });
        findings.into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    #[test]
    fn a_dead_link_is_found_on_its_line() {
        let [(line, message)] =
            found("docs/a.md", "x\n[a](../README.md) and [b](b.md#x)\n").try_into().unwrap();
        assert_eq!((line, message.as_str()), (2, "the link to `b.md` leads nowhere"));
        assert_eq!(found("README.md", "[x]: docs/none.md \"title\"\n![i](pic.png)\n").len(), 2);
        assert!(found("README.md", "[x](../x.md)").iter().any(|(_, message)| message.contains("leaves")));
    }

    #[test]
    fn live_links_addresses_anchors_and_code_are_left_alone() {
        let text = "[a](docs/a.md) [b](./docs/) [c](#c) [d](https://e.org/x.md) [e](<two%20words.md>) [f](/docs/a.md)\n\
                    ```\n[x](none.md)\n~~~\n[x](none.md)\n```\n`[x](none.md)` [m](mailto:a@b.c) a[i](docs/a.md \"t\")\n";
        assert!(found("README.md", text).is_empty());
        assert!(found("README.rs", "[x](none.md)").is_empty());
    }
}
