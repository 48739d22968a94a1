//! The scripts that Redis runs for the broker; each begins with what they share.

use super::script::Script;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/shared.lua"), "\n", include_str!($file)))
    };
}

/// Counts, keeps and publishes one draft.
pub(super) static PUBLISH: Script = script!("scripts/publish.lua");
/// Where a channel stands, and what it keeps.
pub(super) static READ: Script = script!("scripts/read.lua");
/// Forgets messages.
pub(super) static FORGET: Script = script!("scripts/forget.lua");
/// Looks for messages by their ids.
pub(super) static FIND: Script = script!("scripts/find.lua");
/// Begins a channel anew that has lost what it counted.
pub(super) static ANEW: Script = script!("scripts/anew.lua");
/// Takes names of expired channels off a list.
pub(super) static SWEEP: Script = script!("scripts/sweep.lua");

/// All of them.
pub(super) fn all() -> Vec<&'static Script> {
    vec![&PUBLISH, &READ, &FORGET, &FIND, &ANEW, &SWEEP]
}
