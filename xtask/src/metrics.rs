//! The suite `metrics`: `/metrics` of the release binary as Prometheus reads it. The Prometheus project's own parser holds the
//! OpenMetrics text to its rules, and `promtool check metrics` the older one to the naming rules.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::root::{Root, run as run_command};
use crate::server::Server;
use crate::venv;

/// Tells users how to scrape.
const PAGE: &str = "docs/observability.md";
const SCRIPT: &str = "tests/metrics/scrape.py";
/// Debian's package that promtool is in; it is taken out of it, and no server is installed.
const PACKAGE: &str = "prometheus";

/// Reads the metrics of a hub that has something to tell.
pub(crate) fn run(root: &Root) -> Result<()> {
    let promtool = promtool(root)?;
    let python = venv::python(root)?;
    let mut command = root.command(root.target.join("release/tapeline"));
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0"]);
    let hub = Server::start(command)?;
    let text = root.target.join("tools/metrics.txt");
    let url = format!("http://127.0.0.1:{}/metrics", hub.port);
    run_command(root.command(&python).args([SCRIPT, &url]).arg(&text))?;
    let checked = root.command(&promtool).args(["check", "metrics"]).stdin(File::open(&text)?).output()?;
    let said =
        [checked.stdout, checked.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if !checked.status.success() || !said.trim().is_empty() {
        bail!("promtool check metrics ended with {}:\n{said}", checked.status);
    }
    println!("promtool found nothing");
    check_page(root, &promtool)
}

/// The configuration that the page gives for Prometheus.
fn check_page(root: &Root, promtool: &Path) -> Result<()> {
    let page = fs::read_to_string(root.dir.join(PAGE)).context(PAGE)?;
    let block = page.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```"));
    let (configuration, _) = block.with_context(|| format!("{PAGE} has no block of yaml"))?;
    let file = root.target.join("tools/prometheus.yml");
    fs::write(&file, configuration)?;
    run_command(root.command(promtool).args(["check", "config"]).arg(&file))
}

/// The one on the path, else the one out of Debian's package.
fn promtool(root: &Root) -> Result<PathBuf> {
    let installed = root.command("promtool").arg("--version").output();
    if installed.is_ok_and(|output| output.status.success()) {
        return Ok("promtool".into());
    }
    let folder = root.target.join("tools").join(PACKAGE);
    let promtool = folder.join("usr/bin/promtool");
    if promtool.is_file() {
        return Ok(promtool);
    }
    fs::create_dir_all(&folder)?;
    let download = root.command("apt-get").args(["download", PACKAGE]).current_dir(&folder).status();
    if !download.is_ok_and(|status| status.success()) {
        bail!("promtool is needed: install the package {PACKAGE}");
    }
    let packages = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = packages.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let package = package.with_context(|| format!("apt-get downloaded no package {PACKAGE}"))?;
    run_command(root.command("dpkg-deb").arg("-x").arg(&package).arg(&folder))?;
    Ok(promtool)
}
