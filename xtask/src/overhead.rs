//! `cargo xtask overhead`: what counting and notices cost a delivery, and what it costs that clients are known, in
//! instructions. The same deliveries run under valgrind in two builds, as they are and with the feature `uncounted`, and once
//! to clients with tokens; setting up is subtracted by running each twice as long too. Instructions do not depend on what else the machine does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::root::{Root, run};

/// Sessions, channels, messages written together, rounds of a millisecond.
const WORKLOADS: &[(&str, [u64; 4])] = &[
    ("1,000 sessions, 1 channel, 1 message a write", [1_000, 1, 1, 50]),
    ("1,000 sessions, 1 channel, 8 messages a write", [1_000, 1, 8, 50]),
    ("10 sessions, 1 channel, 1 message a write", [10, 1, 1, 2_000]),
    (FEW, [50, 2_000, 1, 5_000]),
];
/// What counting may add to a fan-out, in parts of a hundred. Where many channels say little to few, each of them is looked
/// at once a second for few deliveries: that is shown, and has no goal.
const GOAL: f64 = 3.0;
/// What known clients may add: nothing, but for one look at each of them in a second.
const KNOWN_GOAL: f64 = 0.5;
const FEW: &str = "50 sessions, 2,000 channels, 1 message a write";

/// Builds both, measures, and fails where the goal is missed.
pub(crate) fn measure(root: &Root) -> Result<()> {
    let plain = build(root, "counted", &[])?;
    let bare = build(root, "uncounted", &["--features", "tapeline-core/uncounted"])?;
    println!(
        "\n{:<48}{:>10}{:>10}{:>8}{:>10}{:>8}",
        "instructions a delivery", "counted", "not", "more", "known", "more"
    );
    let mut missed = false;
    for (name, [sessions, channels, together, rounds]) in WORKLOADS {
        let per_delivery = |program: &Path, more: &[&str]| -> Result<f64> {
            let once = instructions(root, program, [*sessions, *channels, *together, *rounds], more)?;
            let twice = instructions(root, program, [*sessions, *channels, *together, 2 * rounds], more)?;
            let deliveries = sessions * together * rounds;
            #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
            Ok((twice - once) as f64 / deliveries as f64)
        };
        let counted = per_delivery(&plain, &[])?;
        let not = per_delivery(&bare, &["quiet"])?;
        let known = per_delivery(&plain, &["known"])?;
        let (more, known_more) = ((counted / not - 1.0) * 100.0, (known / counted - 1.0) * 100.0);
        missed |= *name != FEW && (more > GOAL || known_more > KNOWN_GOAL);
        println!("{name:<48}{counted:>10.1}{not:>10.1}{more:>6.1} %{known:>10.1}{known_more:>6.2} %");
    }
    if missed {
        bail!(
            "of a fan-out, counting and notices cost more than {GOAL} % or known clients more than {KNOWN_GOAL} %"
        );
    }
    Ok(())
}

fn build(root: &Root, name: &str, more: &[&str]) -> Result<PathBuf> {
    let target = root.target.join("overhead").join(name);
    let mut cargo = root.command("cargo");
    cargo.args(["build", "--release", "-p", "tapeline-core", "--features", "tapeline-core/testkit"]);
    cargo.args(["--example", "deliveries"]).args(more).arg("--target-dir").arg(&target);
    run(&mut cargo)?;
    Ok(target.join("release/examples/deliveries"))
}

fn instructions(root: &Root, program: &Path, numbers: [u64; 4], more: &[&str]) -> Result<u64> {
    let mut valgrind = root.command("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args(numbers.map(|number| number.to_string())).args(more).stdout(Stdio::null());
    let output = valgrind.output().context("valgrind is needed: install the package valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let Some((_, count)) = collected.filter(|_| output.status.success()) else {
        bail!("valgrind ended with {}:\n{said}", output.status);
    };
    count.trim().parse().with_context(|| format!("{count:?} is no number"))
}
