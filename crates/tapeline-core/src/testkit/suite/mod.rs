//! The conformance suite of message brokers: one function a promise of [`crate::broker`], each of which gets a fresh
//! broker from `open` and panics where the promise is broken.
//!
//! A broker may answer and deliver late and from any thread; the suite waits for it. It does not promise when an idle
//! channel is forgotten, only what holds then.

mod changing;
mod forgetting;
mod keeping;
mod order;
mod purging;
mod repeats;
mod room;
mod sink;
mod sources;
mod subject;
mod tables;

pub use changing::{
    a_channel_that_ends_counts_anew_and_stays_joined, a_channel_that_goes_on_keeps_as_its_row_says_now,
    a_message_fits_its_channels_row_while_that_changes,
};
pub use forgetting::{
    a_channel_within_its_age_is_not_forgotten, a_forgotten_channel_counts_under_a_new_epoch,
    a_joined_channel_is_not_forgotten,
};
pub use keeping::{
    a_join_tells_the_head, pages_are_dense_and_bounded, retention_by_age, retention_by_bytes,
    retention_by_count, the_newest_is_read,
};
pub use order::{concurrent_publishes_are_delivered_in_order, offsets_are_dense};
pub use purging::{
    a_roll_up_forgets_for_itself, a_roll_up_forgets_with_its_source, a_table_forgets_nothing,
    what_is_forgotten_is_gone_and_the_count_goes_on,
};
pub use repeats::{
    a_key_belongs_to_its_principal_and_channel, a_key_is_new_after_five_minutes, a_repeat_goes_nowhere,
    a_repeat_within_a_batch_goes_nowhere,
};
pub use room::{busy_gives_everything_back, every_permit_is_used_or_returned};
pub use sink::Sink;
pub use sources::{a_pattern_lists_its_sources, a_roll_up_lists_its_sources};
pub use subject::Subject;
pub use tables::{a_table_is_read_whole_or_by_what_changed, rows_beyond_the_bound_leave_aloud};

/// Opens a fresh broker, once a promise.
pub type Open<'a> = &'a dyn Fn() -> Subject;

/// Every promise.
pub fn all(open: Open<'_>) {
    let promises: [fn(Open<'_>); 27] = [
        offsets_are_dense,
        concurrent_publishes_are_delivered_in_order,
        retention_by_count,
        retention_by_age,
        retention_by_bytes,
        pages_are_dense_and_bounded,
        the_newest_is_read,
        a_join_tells_the_head,
        a_repeat_goes_nowhere,
        a_repeat_within_a_batch_goes_nowhere,
        a_key_belongs_to_its_principal_and_channel,
        a_key_is_new_after_five_minutes,
        a_roll_up_lists_its_sources,
        a_pattern_lists_its_sources,
        busy_gives_everything_back,
        every_permit_is_used_or_returned,
        a_forgotten_channel_counts_under_a_new_epoch,
        a_joined_channel_is_not_forgotten,
        a_channel_within_its_age_is_not_forgotten,
        a_channel_that_ends_counts_anew_and_stays_joined,
        a_channel_that_goes_on_keeps_as_its_row_says_now,
        a_table_is_read_whole_or_by_what_changed,
        rows_beyond_the_bound_leave_aloud,
        what_is_forgotten_is_gone_and_the_count_goes_on,
        a_roll_up_forgets_with_its_source,
        a_roll_up_forgets_for_itself,
        a_table_forgets_nothing,
    ];
    for promise in promises {
        promise(open);
    }
}
