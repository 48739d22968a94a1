//! Generated files are committed, and must be what their command would write today.
//!
//! Which files those are is the generator's to know; this file turns what it calls stale into findings.

use anyhow::Result;

use super::Finding;
use crate::codegen;
use crate::root::Root;

pub(super) fn check(root: &Root) -> Result<Vec<Finding>> {
    let stale = codegen::stale(root)?;
    let finding =
        |path: &String| Finding::new(path.as_ref(), 1, format!("is stale; run `{}`", codegen::COMMAND));
    Ok(stale.iter().map(finding).collect())
}
