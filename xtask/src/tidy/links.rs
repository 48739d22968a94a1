//! Relative links in Markdown must lead to a file or folder of the repository, and to a place that is there.
//!
//! Inline links, images and reference definitions are looked at; fenced blocks, code spans and web addresses are not.
//! A place in a page is one of its headings, named as GitHub does, or an `<a id="…">`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{File, Finding};

/// The places in each page that a link may lead to.
pub(super) struct Places(BTreeMap<PathBuf, BTreeSet<String>>);

impl Places {
    /// Reads the pages among the files.
    pub(super) fn of(files: &[File]) -> Self {
        let pages = files.iter().filter(|file| is_page(&file.path));
        Self(pages.map(|file| (file.path.clone(), anchors(&file.text))).collect())
    }

    /// True if the page has the place, or is none whose places are known.
    fn has(&self, page: &Path, anchor: &str) -> bool {
        self.0.get(page).is_none_or(|anchors| anchors.contains(anchor))
    }
}

/// Findings of one file; `exists` answers for a path relative to the repository.
pub(super) fn check(file: &File, places: &Places, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !is_page(&file.path) {
        return findings;
    }
    for (at, line) in prose(&file.text) {
        for Target { path, anchor } in targets(line) {
            // A link to a place alone is one in this page.
            let to = if path.is_empty() { Some(file.path.clone()) } else { resolved(&file.path, &path) };
            let message = match to {
                Some(to) if exists(&to) && places.has(&to, &anchor) => continue,
                Some(to) if exists(&to) => format!("`{path}` has no place `#{anchor}`"),
                Some(_) => format!("the link to `{path}` leads nowhere"),
                None => format!("the link to `{path}` leaves the repository"),
            };
            findings.push(Finding::new(&file.path, at + 1, message));
        }
    }
    findings
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// The lines outside of fenced blocks, each with its index.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    text.lines().enumerate().filter(move |(_, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        let turns = mark.is_some() && (fence.is_none() || fence == mark);
        if turns {
            fence = if fence.is_none() { mark } else { None };
        }
        !turns && fence.is_none()
    })
}

/// What can stand after `#` in a link to this page; nothing can.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::from([String::new()]);
    for (_, line) in prose(text) {
        if let Some(heading) = line.strip_prefix('#') {
            let slug = slug(heading.trim_start_matches('#'));
            // The second heading of one text is the first repeated: `limits-1`.
            let repeated = (1..).map(|n| format!("{slug}-{n}"));
            let free = std::iter::once(slug.clone()).chain(repeated).find(|name| !anchors.contains(name));
            anchors.extend(free);
        }
        anchors.extend(
            line.split("<a id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
        );
    }
    anchors
}

/// A heading's name in links: small letters, no punctuation, `-` for each blank.
fn slug(heading: &str) -> String {
    let stays = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(stays).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Where a link leads.
struct Target {
    /// Empty for the page itself.
    path: String,
    /// Empty for the whole page.
    anchor: String,
}

/// The relative targets on a line.
fn targets(line: &str) -> Vec<Target> {
    // Code spans are the odd pieces between backquotes; what stands there is not a link.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let definition =
        prose.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, to)| to);
    inline.chain(definition).filter_map(target).collect()
}

fn target(raw: &str) -> Option<Target> {
    let raw = raw.split_whitespace().next()?.trim_start_matches('<').trim_end_matches('>');
    let (path, anchor) = raw.split_once('#').unwrap_or((raw, ""));
    let path = path.split('?').next()?;
    let is_address = raw.contains("://") || raw.starts_with("mailto:") || raw.starts_with("//");
    (!is_address).then(|| Target { path: path.replace("%20", " "), anchor: anchor.to_owned() })
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
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let page = file(
            "docs/words.md",
            "# Two `words`: {x}\n## A\n## A\n```\n# no heading\n```\n<a id=\"lane\"></a>",
        );
        let files = [file(path, text), page];
        let exists = |path: &Path| {
            path.as_os_str().is_empty()
                || path == files[0].path
                || path == files[1].path
                || there.iter().any(|name| path == Path::new(name))
        };
        let findings = check(&files[0], &Places::of(&files), exists);
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
    fn a_place_that_a_page_lacks_is_found() {
        let [(line, message)] = found("README.md", "[a](docs/words.md#none)\n").try_into().unwrap();
        assert_eq!((line, message.as_str()), (1, "`docs/words.md` has no place `#none`"));
        assert_eq!(
            found("README.md", "# Here\n[a](#here) [b](#there) [c](docs/words.md#no-heading)").len(),
            2
        );
        for anchor in ["", "two-words-x", "a", "a-1", "lane"] {
            assert!(found("README.md", &format!("[a](docs/words.md#{anchor})")).is_empty(), "{anchor}");
        }
    }

    #[test]
    fn live_links_addresses_and_code_are_left_alone() {
        let text = "[a](docs/a.md) [b](./docs/) [d](https://e.org/x.md) [e](<two%20words.md>) [f](/docs/a.md)\n\
                    ```\n[x](none.md)\n~~~\n[x](none.md)\n```\n`[x](none.md)` [m](mailto:a@b.c) a[i](docs/a.md \"t\")\n";
        assert!(found("README.md", text).is_empty());
        assert!(found("README.rs", "[x](none.md)").is_empty());
    }
}
