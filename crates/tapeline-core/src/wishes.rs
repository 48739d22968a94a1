//! How a subscriber is served: its own wishes where the family can give them, the family's way where not.

use tapeline_schema::{Delivery, ErrorCode, Priority};

use crate::channel::Channel;
use crate::error::Refusal;
use crate::session::Subscription;
use crate::target::Mode;

/// Whole tables a second for a subscriber who wants them instead of changes, where neither it nor the family says a rate.
/// Each is written anew, all rows of it.
const WHOLE_TABLES: u32 = 10;

/// The mode and rate of one source channel, or why the family cannot give them.
pub(crate) fn mode_of(
    channel: &Channel,
    asked: Option<Delivery>,
    max_rate: Option<u32>,
) -> Result<(Mode, u8), Refusal> {
    let spec = channel.spec();
    let refuse = |message: String| Err(Refusal::new(ErrorCode::UnsupportedDelivery, message));
    let mode = match asked.unwrap_or(spec.delivery) {
        Delivery::Latest if spec.priority == Priority::Critical => {
            return refuse(format!("{} is critical: its messages are never conflated", channel.name()));
        }
        Delivery::Latest => Mode::Latest,
        Delivery::Table if spec.delivery != Delivery::Table => {
            return refuse(format!(
                "{} has no rows: its delivery is {}",
                channel.name(),
                spec.delivery.name()
            ));
        }
        Delivery::Table => Mode::Table,
        Delivery::Every => Mode::Every,
    };
    let whole_tables = (mode == Mode::Latest && channel.is_table()).then_some(WHOLE_TABLES);
    let usual = spec.max_rate.or(whole_tables).filter(|_| mode != Mode::Every);
    match (mode, max_rate.or(usual)) {
        (_, None) => Ok((mode, 0)),
        (Mode::Latest | Mode::Table, Some(rate)) => Ok((mode, u8::try_from(rate).unwrap_or(100))),
        (Mode::Every, Some(_)) => refuse(format!(
            "max_rate would skip messages of {}; ask for \"delivery\":\"{}\" with it",
            channel.name(),
            if channel.is_table() { "table" } else { "latest" }
        )),
    }
}

/// How a subscription is served from one source channel: what does not fit a source gets the source's own way.
pub(crate) fn wish(channel: &Channel, subscription: &Subscription) -> (Mode, u8) {
    let asked = mode_of(channel, subscription.delivery, subscription.max_rate);
    asked.or_else(|_| mode_of(channel, None, None)).unwrap_or((Mode::Every, 0))
}

/// What serves two subscriptions of one session to the same source channel.
pub(crate) fn both(one: (Mode, u8), other: (Mode, u8)) -> (Mode, u8) {
    let mode = match (one.0, other.0) {
        (Mode::Every, _) | (_, Mode::Every) => Mode::Every,
        (Mode::Table, Mode::Table) => Mode::Table,
        // Of a table: who wants changes can do with all of it.
        _ => Mode::Latest,
    };
    let rate = if one.1 == 0 || other.1 == 0 { 0 } else { one.1.max(other.1) };
    (mode, rate)
}

/// Whether a subscription to the name becomes a target in each source's entry.
pub(crate) fn spreads(channel: &Channel, mode: Mode) -> bool {
    channel.is_roll_up() && (mode != Mode::Every || !channel.counts_for_itself())
}
