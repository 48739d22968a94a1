//! Generated files are committed, and must be what their command would write today.
//!
//! Nothing is generated yet; what will be (specification, types, reference pages) gets one row in `GENERATED`.

use std::fs;

use anyhow::Result;

use super::Finding;
use crate::root::Root;

/// A file from the repository's top, the command that writes it, and the text it should hold.
type Row = (&'static str, &'static str, fn(&Root) -> Result<String>);

const GENERATED: &[Row] = &[];

pub(super) fn check(root: &Root) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, command, render) in GENERATED {
        let fresh = render(root)?;
        if fs::read_to_string(root.dir.join(path)).ok().as_deref() != Some(&fresh) {
            findings.push(Finding::new(path.as_ref(), 1, format!("is stale; run `{command}`")));
        }
    }
    Ok(findings)
}
