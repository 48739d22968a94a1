//! The conformance suite of stores: one function a promise of [`crate::store`], each of which gets a fresh, empty store from
//! `open` and panics where the promise is broken.
//!
//! A store may answer late and from any thread; the suite waits for it.

mod changing;
mod expiring;
mod listing;
mod subject;

pub use changing::{
    a_change_that_is_not_expected_changes_nothing, a_deleted_value_is_gone, a_value_set_anew_is_another,
    a_value_stays_as_it_was_given, of_writers_at_once_each_version_has_one_successor, versions_only_grow,
};
pub use expiring::{a_value_without_a_ttl_outlives_its_former_one, an_expired_value_is_gone};
pub use listing::{a_listing_is_ordered_and_goes_on_after_a_key, a_prefix_is_no_pattern};
pub use subject::Subject;

/// Opens a fresh store, once a promise.
pub type Open<'a> = &'a dyn Fn() -> Subject;

/// Every promise.
pub fn all(open: Open<'_>) {
    let promises: [fn(Open<'_>); 10] = [
        a_value_stays_as_it_was_given,
        a_deleted_value_is_gone,
        a_change_that_is_not_expected_changes_nothing,
        a_value_set_anew_is_another,
        versions_only_grow,
        of_writers_at_once_each_version_has_one_successor,
        an_expired_value_is_gone,
        a_value_without_a_ttl_outlives_its_former_one,
        a_listing_is_ordered_and_goes_on_after_a_key,
        a_prefix_is_no_pattern,
    ];
    for promise in promises {
        promise(open);
    }
}

/// A test a promise, for stores that `$open` opens.
#[macro_export]
macro_rules! store_promises {
    ($open:path) => {
        $crate::store_promises! { $open;
            a_value_stays_as_it_was_given,
            a_deleted_value_is_gone,
            a_change_that_is_not_expected_changes_nothing,
            a_value_set_anew_is_another,
            versions_only_grow,
            of_writers_at_once_each_version_has_one_successor,
            an_expired_value_is_gone,
            a_value_without_a_ttl_outlives_its_former_one,
            a_listing_is_ordered_and_goes_on_after_a_key,
            a_prefix_is_no_pattern,
        }
    };
    ($open:path; $($promise:ident,)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::testkit::stores::$promise(&$open);
            }
        )*
    };
}
