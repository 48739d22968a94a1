//! What a simulated world is like: its families, its bounds, its names and what goes wrong in it.

use std::time::Duration;

use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority, RATE_STEPS};

use crate::settings::Settings;
use crate::testkit::Rng;

/// Families with tiny retention beside the built-in ones: but for one that is removed, and with `less` messages less
/// kept where something can be kept less.
pub(super) fn catalog(removed: Option<&str>, less: usize) -> Catalog {
    let every = |template, priority| ChannelSpec::of(template, "message", priority, Delivery::Every);
    let rows = [
        every("tiny:{k}", Priority::Medium)
            .keep(3_usize.saturating_sub(less).max(1), None)
            .rolls_up_to(&["tinies"]),
        every("eight:{k}", Priority::High)
            .keep(8_usize.saturating_sub(less).max(1), Duration::from_secs(5))
            .idle_ttl(Duration::from_secs(8))
            .rolls_up_to(&["eights"]),
        every("fifty:{k}", Priority::Critical).keep(50, None).keep_bytes(1_500).rolls_up_to(&["fifties"]),
        every("phase:{k}", Priority::Low).keep(8, None).replay_on_subscribe(1).rolls_up_to(&["phases"]),
        ChannelSpec::of("quick:{k}", "message", Priority::Low, Delivery::Latest)
            .idle_ttl(Duration::from_secs(8))
            .rolls_up_to(&["quicks"]),
        // So few rows that many have to leave.
        ChannelSpec::of("board:{k}", "message", Priority::Medium, Delivery::Table)
            .keyed_by(&["row"])
            .keep(3, None)
            .idle_ttl(Duration::from_secs(8))
            .rolls_up_to(&["boards"]),
        ChannelSpec::of("ladder:{k}", "message", Priority::High, Delivery::Table)
            .keyed_by(&["0"])
            .removed_when("1", "0")
            .keep(5, None),
        ChannelSpec::of("slate:{k}", "message", Priority::Low, Delivery::Table)
            .keyed_by(&["row"])
            .keep_bytes(400)
            .max_rate(20),
        ChannelSpec::of("paced:{k}", "message", Priority::High, Delivery::Latest).keep(4, None).max_rate(10),
    ];
    let mut catalog = Catalog::built_in();
    for row in rows.into_iter().filter(|row| removed != Some(&*row.family)) {
        // A refused row would leave its names undeclared; the worlds would still be sound, only duller.
        let _ = catalog.add(row);
    }
    catalog
}

/// The type of everything that is published: no family's own, so that its data may be a number and padding.
pub(super) const KIND: &str = "said";

/// Families that a world picks from: the name of a channel without its key, and its roll-up.
const FAMILIES: &[(&str, &str)] = &[
    ("tiny:", "tinies"),
    ("tiny:", "tinies"),
    ("eight:", "eights"),
    ("eight:", "eights"),
    ("fifty:", "fifties"),
    ("phase:", "phases"),
    ("quick:", "quicks"),
    ("paced:", ""),
    ("market_data:", "market_data"),
    ("market_trades:", "market_trades"),
    ("trades:", "trades"),
    ("training.progress:", "training.progress"),
    ("positions:", ""),
    ("board:", "boards"),
    ("board:", "boards"),
    ("ladder:", ""),
    ("slate:", ""),
    ("stray-", ""),
];

const KEYS: &[&str] = &["a", "b", "c"];

/// See the module.
pub(super) struct Plan {
    pub shards: usize,
    pub settings: Settings,
    pub clients: usize,
    pub steps: usize,
    /// What is published to.
    pub channels: Vec<String>,
    /// What is subscribed to; `true` for a pattern.
    pub topics: Vec<(bool, String)>,
    pub late_requests: bool,
    pub late_answers: bool,
    pub loss_percent: usize,
    /// After a loss the broker says where everything stands.
    pub comes_back: bool,
    /// Every step ends with a flush.
    pub prompt: bool,
    /// The clock may jump by minutes.
    pub jumps: bool,
    /// The broker forgets what it may.
    pub forgets: bool,
    /// One client may ask for the same names in several ways: another delivery, a rate.
    pub mixed: bool,
    /// How they ask where they do not.
    pub wish: (Option<Delivery>, Option<u32>),
    /// Clients come and go.
    pub leaves: bool,
    /// Families come and go, and keep less and less.
    pub redeclares: bool,
    /// The broker is told to forget what it keeps.
    pub purges: bool,
}

impl Plan {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let (channels, topics) = names(rng);
        Plan {
            shards: rng.between(1, 3),
            settings: settings(rng),
            clients: rng.between(1, 5),
            steps: rng.between(100, 900),
            channels,
            topics,
            late_requests: rng.percent(40),
            late_answers: rng.percent(60),
            loss_percent: if rng.percent(20) { rng.between(1, 8) } else { 0 },
            prompt: rng.percent(40),
            jumps: rng.percent(50),
            forgets: rng.percent(50),
            mixed: rng.percent(40),
            leaves: rng.percent(70),
            redeclares: rng.percent(25),
            wish: wish(rng),
            purges: rng.percent(25),
            comes_back: rng.percent(50),
        }
    }
}

/// A delivery and a rate to ask for.
pub(super) fn wish(rng: &mut Rng) -> (Option<Delivery>, Option<u32>) {
    let delivery = match rng.below(10) {
        0 | 1 => Some(Delivery::Every),
        2 => Some(Delivery::Latest),
        3 => Some(Delivery::Table),
        _ => None,
    };
    (delivery, if rng.percent(12) { rng.pick(&RATE_STEPS).copied() } else { None })
}

fn names(rng: &mut Rng) -> (Vec<String>, Vec<(bool, String)>) {
    let mut channels = Vec::new();
    let mut topics = Vec::new();
    for _ in 0..rng.between(1, 3) {
        let Some((family, roll_up)) = rng.pick(FAMILIES).copied() else { continue };
        for key in KEYS.iter().take(rng.between(1, 3)) {
            channels.push(format!("{family}{key}"));
            topics.push((false, format!("{family}{key}")));
        }
        if !roll_up.is_empty() {
            topics.push((false, roll_up.to_string()));
            topics.push((false, roll_up.to_string()));
            if rng.percent(30) {
                channels.push(roll_up.to_string());
            }
        }
        topics.push((true, format!("{family}*")));
        if rng.percent(30) {
            topics.push((true, "*".to_string()));
        }
    }
    if rng.percent(20) {
        topics.push((true, "*[ab]".to_string()));
    }
    (channels, topics)
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        // What the hub says of its own accord is no part of a world's plan.
        freshness: false,
        outbox_bytes: rng.between(300, 6_000),
        outbox_messages: rng.between(2, 20),
        outboxes_bytes: if rng.percent(30) { rng.between(500, 4_000) } else { 1 << 30 },
        inbox_messages: rng.between(16, 64),
        page_messages: rng.between(1, 8),
        snapshot_sources: if rng.percent(15) { 2 } else { 1_000 },
        ..Settings::default()
    }
}
