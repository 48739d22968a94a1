//! The arrows between crates: which may use which. A new one is a decision, so it has to be written down here.
//!
//! Dependencies for tests and build scripts are free, since they never reach a user.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::root::{Root, text};

const RUNTIME: &[&str] = &["tapeline-runtime", "tapeline-core", "tapeline-schema"];

/// Each crate with those it may use; `*` means any but the benchmarks, which nobody uses.
const ARROWS: &[(&str, &[&str])] = &[
    ("tapeline-schema", &[]),
    ("tapeline-codec", &[]),
    ("tapeline-codegen", &["tapeline-schema"]),
    ("tapeline-core", &["tapeline-schema"]),
    ("tapeline-runtime", &["tapeline-core", "tapeline-schema"]),
    ("tapeline-auth", &["tapeline-core", "tapeline-schema"]),
    ("tapeline-brokers", RUNTIME),
    ("tapeline-feeds", RUNTIME),
    ("tapeline-pipeline", RUNTIME),
    (
        "tapeline-gateway",
        &["tapeline-codec", "tapeline-codegen", "tapeline-runtime", "tapeline-core", "tapeline-schema"],
    ),
    // A hub in the user's own process speaks the gateway's protocol over the runtime's shards: decision 8.
    (
        "tapeline",
        &["tapeline-gateway", "tapeline-brokers", "tapeline-runtime", "tapeline-core", "tapeline-schema"],
    ),
    (
        "tapeline-cli",
        &[
            // Commands that watch stay connected as the library does.
            "tapeline",
            "tapeline-gateway",
            "tapeline-auth",
            "tapeline-codegen",
            "tapeline-feeds",
            "tapeline-brokers",
            "tapeline-runtime",
            "tapeline-core",
            "tapeline-schema",
        ],
    ),
    // What tests break; only tests use it, and it uses nobody.
    ("tapeline-faults", &[]),
    ("tapeline-bench", &["*"]),
    // The simulator may drive a broker.
    ("xtask", &["tapeline-core", "tapeline-brokers"]),
];

pub(super) fn check(root: &Root) -> Result<Vec<Finding>> {
    let packages = root
        .metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name")?;
        let manifest = Path::new(text(package, "manifest_path")?);
        let lines = fs::read_to_string(manifest)?;
        let shown = manifest.strip_prefix(&root.dir).unwrap_or(manifest);
        for (dependency, message) in broken(name, &used(package)) {
            findings.push(Finding::new(shown, line_of(&lines, &dependency), message));
        }
    }
    Ok(findings)
}

/// The workspace's crates that a package needs to be built: those by path, neither for tests nor for build scripts.
fn used(package: &Value) -> Vec<String> {
    let all = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    // Cargo writes no kind for a normal dependency, and a path only for one that lies beside this package.
    let ours = all.filter(|dependency| text(dependency, "kind").is_err() && text(dependency, "path").is_ok());
    ours.filter_map(|dependency| text(dependency, "name").ok().map(str::to_owned)).collect()
}

/// Arrows that are not on the list, and what to say of each.
fn broken(name: &str, used: &[String]) -> Vec<(String, String)> {
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![(name.to_owned(), format!("`{name}` has no row in xtask/src/tidy/arrows.rs"))];
    };
    let permits = |to: &str| allowed.contains(&to) || (allowed.contains(&"*") && to != "tapeline-bench");
    let refused = used.iter().filter(|to| !permits(to));
    refused
        .map(|to| (to.clone(), format!("`{name}` may not use `{to}` (xtask/src/tidy/arrows.rs)")))
        .collect()
}

/// Where the manifest names the crate, else its first line.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            || line.split('"').nth(1) == Some(name)
    };
    manifest.lines().position(names).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(name: &str, used: &[&str]) -> Vec<String> {
        let used: Vec<String> = used.iter().map(|&name| name.to_owned()).collect();
        broken(name, &used).into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn a_new_edge_and_a_new_crate_are_found() {
        assert_eq!(messages("tapeline-gateway", &["tapeline-codec", "tapeline-core"]), [""; 0]);
        let sideways = messages("tapeline-gateway", &["tapeline-brokers"]).concat();
        assert!(sideways.contains("`tapeline-gateway` may not use `tapeline-brokers`"), "{sideways}");
        assert_eq!(messages("tapeline-core", &["tapeline-runtime", "tapeline-cli"]).len(), 2);
        assert_eq!(messages("tapeline-cli", &["tapeline-codec"]).len(), 1);
        assert!(messages("tapeline-new", &[]).concat().contains("has no row"));
    }

    #[test]
    fn the_benchmarks_use_anything_and_nobody_uses_them() {
        assert_eq!(messages("tapeline-bench", &["tapeline-cli", "tapeline-codec"]), [""; 0]);
        for (name, _) in ARROWS {
            assert_eq!(messages(name, &["tapeline-bench"]).len(), 1, "{name}");
        }
    }

    #[test]
    fn only_normal_dependencies_by_path_count() {
        let package = json!({"dependencies": [
            {"name": "a", "kind": null, "path": "somewhere"},
            {"name": "b", "kind": "dev", "path": "somewhere"},
            {"name": "c", "kind": "build", "path": "somewhere"},
            {"name": "d", "kind": null},
        ]});
        assert_eq!(used(&package), ["a"]);
    }

    #[test]
    fn the_line_is_where_the_manifest_names_the_crate() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\nb-long = \"1\"\nb.workspace = true\n";
        assert_eq!((line_of(manifest, "b"), line_of(manifest, "a"), line_of(manifest, "z")), (5, 2, 1));
    }
}
