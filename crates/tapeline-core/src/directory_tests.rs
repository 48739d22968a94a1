//! Tests of the directory: one channel a name, and what a change of the catalogue does to channels in use.

use std::time::Duration;

use tapeline_schema::{ChannelSpec, Delivery, Priority, Readers};

use super::*;

fn directory() -> Directory {
    Directory::new(Catalog::built_in())
}

fn fx() -> ChannelSpec {
    ChannelSpec::of("fx:{pair}", "fx_rate", Priority::High, Delivery::Latest)
}

fn with(spec: ChannelSpec) -> Catalog {
    let mut catalog = Catalog::built_in();
    catalog.add(spec).unwrap();
    catalog
}

#[test]
fn a_name_is_one_channel_however_often_it_is_asked_for() {
    let directory = directory();
    let one = directory.channel("market_data:AAPL").unwrap();
    let two = directory.channel("market_data:AAPL").unwrap();
    assert!(one.is_same(&two));
    let roll_ups: Vec<_> = one.roll_ups().iter().map(Channel::name).collect();
    assert_eq!(roll_ups, ["market_data", "price_updates"]);
}

#[test]
fn a_channel_nobody_holds_is_forgotten_by_the_sweep() {
    let directory = directory();
    let held = directory.channel("a").unwrap();
    directory.channel("b").unwrap();
    directory.sweep();
    assert!(directory.known("a").is_some());
    assert!(directory.known("b").is_none());
    let own = held.with_own_handle();
    drop(held);
    directory.sweep();
    assert!(directory.known("a").is_some());
    drop(own);
    directory.sweep();
    assert!(directory.known("a").is_none());
}

#[test]
fn a_family_added_ends_the_undeclared_channels_of_its_names_and_no_other() {
    let directory = directory();
    let [rate, other, roll_up] =
        ["fx:EURUSD", "other", "all_fx"].map(|name| directory.channel(name).unwrap());
    let mut replaced = directory.replace(with(fx().rolls_up_to(&["all_fx"]))).unwrap();
    replaced.ended.sort();
    assert_eq!(replaced.ended, ["all_fx".into(), "fx:EURUSD".into()]);
    assert!(rate.has_ended() && roll_up.has_ended() && !other.is_replaced());
    assert!(rate.current().declared() && rate.current().is_same(&directory.channel("fx:EURUSD").unwrap()));
    assert!(rate.current().roll_ups().iter().all(|found| found.is_same(roll_up.current())));
    assert_eq!(rate, *rate.current(), "maps keyed by either find both");
    assert_eq!(directory.changes(), 2);
}

#[test]
fn what_is_kept_may_change_under_way_and_the_channel_goes_on() {
    let directory = Directory::new(with(fx()));
    let rate = directory.channel("fx:EURUSD").unwrap();
    let replaced = directory.replace(with(fx().keep(50, Duration::from_secs(9)))).unwrap();
    assert_eq!(replaced, Replaced::default());
    assert!(rate.is_replaced() && !rate.has_ended());
    assert_eq!(rate.current().spec().keep.count, 50);
}

#[test]
fn another_delivery_is_refused_while_a_channel_is_in_use_and_then_taken() {
    let directory = Directory::new(with(fx()));
    let every = || with(ChannelSpec::of("fx:{pair}", "fx_rate", Priority::High, Delivery::Every));
    let rate = directory.channel("fx:EURUSD").unwrap();
    let refusal = directory.replace(every()).unwrap_err();
    assert!(refusal.message.contains("family fx cannot change"), "{}", refusal.message);
    assert!(!rate.is_replaced(), "a refused change changes nothing");
    assert_eq!(directory.catalog().family("fx").unwrap().delivery, Delivery::Latest);
    drop(rate);
    directory.replace(every()).unwrap();
    assert_eq!(directory.channel("fx:EURUSD").unwrap().spec().delivery, Delivery::Every);
}

#[test]
fn a_family_removed_and_added_again_leads_from_the_oldest_to_the_newest() {
    let directory = Directory::new(with(fx()));
    let first = directory.channel("fx:EURUSD").unwrap();
    directory.replace(Catalog::built_in()).unwrap();
    assert!(first.has_ended() && !first.current().declared());
    directory.replace(with(fx().max_rate(5))).unwrap();
    assert_eq!(first.current().spec().max_rate, Some(5));
    assert!(first.has_ended(), "what came in between was another channel");
}

#[test]
fn a_channel_whose_owner_turns_out_to_be_another_ends_and_the_next_begins_with_that_owner() {
    let directory = directory();
    let first = directory.channel("executions:a").unwrap();
    let changes = directory.changes();
    for _ in 0..2 {
        assert!(directory.owned_by(&first, "ann").is(&first), "it has no other owner");
    }
    assert_eq!((first.owner(), directory.changes()), (Some("ann"), changes));
    let second = directory.owned_by(&first, "bob");
    assert_eq!((first.owner(), second.owner()), (Some("ann"), Some("bob")));
    assert!(first.has_ended() && first.current().is(&second), "who hears it is not asked anew");
    assert_eq!(directory.changes(), changes + 2);
    assert!(directory.channel("executions:a").unwrap().is(&second));
    assert!(directory.owned_by(&first, "bob").is(&second), "once is enough");
    assert_eq!(directory.changes(), changes + 2);
    let roll_ups: Vec<_> = second.roll_ups().iter().map(Channel::name).collect();
    assert_eq!(roll_ups, ["executions"]);
}

#[test]
fn who_saw_all_before_a_change_is_told_what_it_is_about_and_others_that_it_may_be_anything() {
    let directory = Directory::new(with(fx()));
    let names = ["fx:EURUSD", "freshness:fx:EURUSD", "all_fx", "news", "freshness:news", "fxx:EURUSD"];
    let about = |from: u64| {
        let concern = directory.concern(from, directory.changes());
        names.map(|name| concern.has(&directory.channel(name).unwrap()))
    };
    let rate = directory.channel("fx:EURUSD").unwrap();
    directory.replace(with(fx().read(Readers::Operator).rolls_up_to(&["all_fx"]))).unwrap_err();
    drop(rate);
    directory.sweep();
    directory.replace(with(fx().read(Readers::Operator).rolls_up_to(&["all_fx"]))).unwrap();
    assert_eq!(about(0), [true, true, true, false, false, false]);
    directory.replace(with(fx())).unwrap();
    assert_eq!(about(2), [true, true, true, false, false, false]);
    assert_eq!(about(0), [true; 6], "there were two");
    let filled = directory.channel("executions:a").unwrap();
    directory.owned_by(&filled, "ann");
    directory.owned_by(&filled, "bob");
    let concern = directory.concern(4, 6);
    let named = ["executions:a", "freshness:executions:a", "executions:b", "executions"];
    let named = named.map(|name| concern.has(&directory.channel(name).unwrap()));
    assert_eq!(named, [true, true, false, false]);
}
