//! The conformance suite of message brokers: one function a promise of [`crate::broker`], each of which gets a fresh
//! broker from `open` and panics where the promise is broken.
//!
//! A broker may answer and deliver late and from any thread; the suite waits for it. It does not promise when an idle
//! channel is forgotten, only what holds then.

mod changing;
mod forgetting;
mod keeping;
mod order;
mod owning;
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
pub use owning::{
    a_repeat_of_an_owned_publish_is_one, an_owner_is_first_within_a_batch,
    an_owner_lasts_as_long_as_its_channel, an_owner_lasts_while_a_roll_up_keeps, one_of_many_claims_wins,
    the_first_owner_stays,
};
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
    let promises: [fn(Open<'_>); 33] = [
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
        the_first_owner_stays,
        an_owner_is_first_within_a_batch,
        a_repeat_of_an_owned_publish_is_one,
        one_of_many_claims_wins,
        an_owner_lasts_as_long_as_its_channel,
        an_owner_lasts_while_a_roll_up_keeps,
    ];
    for promise in promises {
        promise(open);
    }
}

/// A test a promise, each of which calls `$hold` with the promise's function: a broker's own tests need no list.
#[macro_export]
macro_rules! broker_promises {
    ($hold:path) => {
        $crate::broker_promises! { $hold;
            offsets_are_dense_from_one_under_one_epoch: offsets_are_dense,
            threads_that_publish_at_once_are_delivered_in_order_without_holes: concurrent_publishes_are_delivered_in_order,
            no_more_messages_are_kept_than_the_row_says: retention_by_count,
            no_message_is_kept_beyond_its_age: retention_by_age,
            no_more_bytes_are_kept_than_the_row_says_but_for_the_newest: retention_by_bytes,
            a_page_is_dense_starts_behind_after_and_respects_the_limit: pages_are_dense_and_bounded,
            the_newest_message_can_be_read_alone: the_newest_is_read,
            a_join_tells_where_the_channel_stands: a_join_tells_the_head,
            a_repeat_answers_the_first_offset_and_goes_nowhere: a_repeat_goes_nowhere,
            a_repeat_inside_a_batch_goes_nowhere: a_repeat_within_a_batch_goes_nowhere,
            a_key_of_another_principal_or_channel_is_new: a_key_belongs_to_its_principal_and_channel,
            a_key_is_new_again_after_five_minutes: a_key_is_new_after_five_minutes,
            a_roll_up_lists_its_sources_within_the_limit: a_roll_up_lists_its_sources,
            a_pattern_lists_its_sources_within_the_limit: a_pattern_lists_its_sources,
            a_busy_broker_gives_all_drafts_and_receipts_back: busy_gives_everything_back,
            every_permit_is_used_or_given_back: every_permit_is_used_or_returned,
            a_forgotten_channel_has_a_new_epoch: a_forgotten_channel_counts_under_a_new_epoch,
            a_channel_whose_family_is_declared_begins_anew: a_channel_that_ends_counts_anew_and_stays_joined,
            a_channel_whose_row_keeps_less_goes_on: a_channel_that_goes_on_keeps_as_its_row_says_now,
            a_message_is_made_for_the_row_that_its_channel_has: a_message_fits_its_channels_row_while_that_changes,
            a_joined_channel_is_never_forgotten: a_joined_channel_is_not_forgotten,
            a_channel_within_its_retention_age_is_never_forgotten: a_channel_within_its_age_is_not_forgotten,
            a_table_is_told_whole_or_by_what_changed: a_table_is_read_whole_or_by_what_changed,
            rows_beyond_a_tables_bound_leave_and_it_is_said: rows_beyond_the_bound_leave_aloud,
            what_is_purged_is_gone_and_the_count_goes_on: what_is_forgotten_is_gone_and_the_count_goes_on,
            a_roll_up_lacks_what_was_purged_of_a_source: a_roll_up_forgets_with_its_source,
            a_purged_roll_up_leaves_its_sources_what_they_keep: a_roll_up_forgets_for_itself,
            a_table_cannot_be_purged: a_table_forgets_nothing,
            the_first_owner_of_a_channel_stays_and_another_leaves_nothing_behind: the_first_owner_stays,
            an_owner_is_the_first_within_a_batch: an_owner_is_first_within_a_batch,
            a_repeat_of_an_owned_publish_answers_the_first: a_repeat_of_an_owned_publish_is_one,
            of_many_who_claim_a_channel_at_once_exactly_one_is_its_owner: one_of_many_claims_wins,
            an_owner_lasts_as_long_as_its_channel_goes_on: an_owner_lasts_as_long_as_its_channel,
            an_owner_lasts_while_a_roll_up_keeps_something_of_the_channel: an_owner_lasts_while_a_roll_up_keeps,
        }
    };
    ($hold:path; $($sentence:ident: $promise:ident,)*) => {
        $(
            #[test]
            fn $sentence() {
                $hold($crate::testkit::suite::$promise);
            }
        )*
    };
}
