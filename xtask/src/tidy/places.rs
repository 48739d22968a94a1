//! Files name no place that exists on one machine only: no absolute path of a working copy, no package registry.
//!
//! Registries get in through lock files. `omit-lockfile-registry-resolved=true` keeps npm's free of them.

use super::{File, Finding};

/// Folders of one machine. Put together here, so that this file does not find itself.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "bash")];

/// Hosts that packages are downloaded from.
const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.", "org/simple"),
    concat!("proxy.", "golang.org"),
];

/// The one index a Cargo.lock may name; cargo writes this for the default one, whatever mirror it used.
const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(file: &File) -> Vec<Finding> {
    let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let mut found = |message: &str| findings.push(Finding::new(&file.path, at + 1, message));
        for folder in FOLDERS.iter().filter(|folder| has_path(line, folder)) {
            found(&format!("`{folder}` is a path of one machine"));
        }
        for host in HOSTS.iter().filter(|host| line.contains(**host)) {
            found(&format!("`{host}` is a registry's host"));
        }
        if name == "Cargo.lock" && line.contains("\"registry+") && !line.contains(INDEX)
            || name == "Cargo.lock" && line.contains("\"sparse+")
        {
            found("a package comes from another index than the default one");
        }
        if name.ends_with("lock.json") && line.contains("\"resolved\": \"http") {
            found("names a registry's host; make the lock file with omit-lockfile-registry-resolved=true");
        }
    }
    findings
}

/// True when the folder stands at the root of a path: `src` before it would make it a relative one.
fn has_path(line: &str, folder: &str) -> bool {
    let inside =
        |before: char| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | ')' | '*');
    line.match_indices(folder).any(|(at, _)| !line.get(..at).is_some_and(|before| before.ends_with(inside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&File { path: path.into(), text: text.into() })
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_relative_one_is_not() {
        let [home, user, scratch] = FOLDERS else { panic!("three folders") };
        assert_eq!(lines("a.md", &format!("see\n{home}main/a\n`{user}.cargo`\n{scratch}_jobs\n")), [2, 3, 4]);
        assert!(lines("a.md", &format!("bench/src{home}mod.rs ..{home}a {{dir}}{user}b\n")).is_empty());
        assert!(lines("a.md", "the network, homework/1, /tmp/other\n").is_empty());
    }

    #[test]
    fn a_registry_is_found_and_the_default_index_is_not() {
        for host in HOSTS {
            assert_eq!(lines("a.toml", &format!("url = \"https://{host}/x\"\n")), [1], "{host}");
        }
        assert!(lines("Cargo.lock", &format!("source = \"{INDEX}\"\n")).is_empty());
        assert_eq!(lines("Cargo.lock", "source = \"registry+https://example.com/index\"\n"), [1]);
        assert_eq!(lines("Cargo.lock", "source = \"sparse+https://example.com/index/\"\n"), [1]);
        assert_eq!(lines("a/package-lock.json", "\"resolved\": \"https://example.com/ws.tgz\",\n"), [1]);
        assert!(lines("a/package-lock.json", "\"resolved\": \"../client\",\n").is_empty());
    }
}
