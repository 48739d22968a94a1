//! From a draft to the command that publishes it, and from the answer to the receipt.

use tapeline_core::Receipt;
use tapeline_core::message::{Draft, Epoch};
use tapeline_core::table::Extent;
use uuid::Uuid;

use super::frame::push_body;
use super::plan::Plan;
use super::resp::{Command, Value};
use super::scripts::PUBLISH;
use super::seen::Place;

/// A repeated key is recognised for so long.
const KEY_LIFE_US: &str = "300000000";

/// When a draft is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Unless its channel has something newer.
    Newer,
}

/// The command that publishes a draft; `seen` is how far what the plan counts was seen to go.
pub(super) fn command(plan: &Plan, draft: &Draft, fresh: &str, when: When, seen: &[Place]) -> Command {
    let key = draft.idempotency.as_ref().map(|key| plan.idempotency(&key.principal, &key.key));
    let mut keys: Vec<&str> = vec![&plan.meta, &plan.stream, &plan.index];
    keys.extend([key.as_deref().unwrap_or(&plan.meta), &plan.rows, &plan.order]);
    for roll_up in &plan.roll_ups {
        keys.push(&roll_up.sources);
        if let Some(roll_up) = roll_up.counting() {
            keys.extend([&*roll_up.meta, &roll_up.stream, &roll_up.index]);
        }
    }
    let mut body = Vec::with_capacity(draft.data.len() + 64);
    let data_at = push_body(draft, &plan.row, &mut body);
    let mut command = PUBLISH.command(&keys);
    command.push(plan.channel.name().as_bytes());
    command.push(&body);
    command.push_number(draft.timestamp_us);
    command.push(fresh.as_bytes());
    command.push(plan.row.as_bytes());
    command.push(plan.kind_name().as_bytes());
    command.push_number(draft.data.len() as u64);
    for arg in [&plan.count, &plan.bytes, &plan.age, &plan.ttl] {
        command.push(arg.as_bytes());
    }
    command.push(if key.is_some() { KEY_LIFE_US.as_bytes() } else { b"" });
    let mut id = Uuid::encode_buffer();
    command.push(draft.id.simple().encode_lower(&mut id).as_bytes());
    command.push(if when == When::Newer { b"1" } else { b"0" });
    // Where it came from, others have it.
    command.push(if plan.mirrored && !draft.from_plain_name { b"1" } else { b"0" });
    let mut seen = seen.iter();
    push_seen(seen.next(), &mut command);
    for owner in [draft.owner.as_deref(), draft.channel.owner()] {
        command.push(owner.unwrap_or_default().as_bytes());
    }
    push_roll_ups(plan, seen, &mut command);
    push_rows(draft, data_at, &mut command);
    command
}

/// How far the channel was seen to go: if Redis stands before that it has lost messages, and begins anew.
fn push_seen(seen: Option<&Place>, command: &mut Command) {
    command.push(seen.map_or("", |place| &place.epoch).as_bytes());
    command.push_number(seen.map_or(0, |place| place.offset));
}

fn push_roll_ups<'a>(plan: &Plan, mut seen: impl Iterator<Item = &'a Place>, command: &mut Command) {
    command.push_number(plan.roll_ups.len() as u64);
    for roll_up in &plan.roll_ups {
        command.push(roll_up.name.as_bytes());
        let row = match roll_up.counting() {
            Some(plan) => ["1", &plan.row, &plan.count, &plan.bytes, &plan.age, &plan.ttl],
            None => ["0", "", "", "", "", "0"],
        };
        for arg in row {
            command.push(arg.as_bytes());
        }
        if roll_up.counting().is_some() {
            push_seen(seen.next(), command);
        }
    }
}

fn push_rows(draft: &Draft, data_at: usize, command: &mut Command) {
    let Some(rows) = &draft.rows else { return };
    command.push(if rows.extent == Extent::Whole { b"1" } else { b"0" });
    let spec = draft.channel.spec();
    let arrays_say = spec
        .removed_when
        .as_ref()
        .is_some_and(|when| when.field.parse::<usize>().is_ok() && !spec.row_key.contains(&when.field));
    command.push(if arrays_say { b"1" } else { b"0" });
    command.push_number(rows.len() as u64);
    for row in rows.iter() {
        let bytes = rows.bytes(row, &draft.data);
        // Where it lies: both are parts of one buffer.
        let within = bytes.as_ptr().addr().saturating_sub(draft.data.as_ptr().addr());
        command.push(row.key.as_bytes());
        command.push_number((data_at + within) as u64);
        command.push_number(if row.removed { 0 } else { bytes.len() as u64 });
    }
}

/// Whose a channel is, where the script says so.
pub(super) fn owner(answer: &Value) -> Option<&str> {
    let place = if is_conflict(answer) { 1 } else { 3 };
    answer.part(place)?.text().filter(|owner| !owner.is_empty())
}

/// Whether the script has refused a draft that names another owner.
pub(super) fn is_conflict(answer: &Value) -> bool {
    answer.part(0).and_then(Value::text) == Some("owner")
}

/// The receipt in an answer of the script.
pub(super) fn receipt(answer: &Value, id: Uuid) -> Option<Receipt> {
    let offset = answer.part(0)?.number()?;
    let epoch = Epoch::from(answer.part(1)?.text()?);
    let first = answer.part(2).and_then(Value::text).and_then(|id| Uuid::try_parse(id).ok());
    Some(Receipt { offset, epoch, id: first.unwrap_or(id), duplicate: first.is_some(), held: false })
}
