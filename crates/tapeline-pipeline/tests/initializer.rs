//! A bot's components through the initializer, as the document sets them up: who is called, what is counted, and what is
//! told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{ticker, update};
use tapeline_core::feed::{Update, VenueChannel};
use tapeline_pipeline::component::Failure;
use tapeline_pipeline::config::{PerformanceConfig, QueueConfig};
use tapeline_pipeline::dead_letters::{DeadLetters, Filter, Kept, Letter, LetterId, MemoryLetters, NoRoom};
use tapeline_pipeline::modes::{Mode, Monitoring};
use tapeline_pipeline::monitor::Health;
use tapeline_pipeline::roles::{Methods, Object};
use tapeline_pipeline::sources::{Poured, pour, pour_async};
use tapeline_pipeline::{Complete, Initializer, PipelineError, Pushed, SetupError, Source, quick_setup};
use tapeline_schema::events::{Alert, AlertState};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

type Bot = BTreeMap<String, Arc<dyn Object>>;

/// Where components tell what they were called with.
struct Ear {
    tell: SyncSender<String>,
    told: Receiver<String>,
}

impl Ear {
    fn new() -> Self {
        let (tell, told) = sync_channel(1_024);
        Ear { tell, told }
    }

    /// An object that tells of each call of these methods.
    fn object(&self, owner: &'static str, methods: &[&'static str]) -> Arc<dyn Object> {
        let object = methods.iter().fold(Methods::new(), |object, method| {
            let (tell, method) = (self.tell.clone(), *method);
            object.on(method, move |key, _| {
                tell.send(format!("{owner}.{method} {key}")).unwrap();
                async {}
            })
        });
        Arc::new(object)
    }

    fn next(&self) -> String {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    /// So many calls, sorted: threads are not in step.
    fn sorted(&self, count: usize) -> Vec<String> {
        let mut told: Vec<_> = (0..count).map(|_| self.next()).collect();
        told.sort();
        told
    }
}

fn bot(components: impl IntoIterator<Item = (&'static str, Arc<dyn Object>)>) -> Bot {
    components.into_iter().map(|(name, object)| (name.to_string(), object)).collect()
}

fn push(initializer: &Initializer, mut update: Update) {
    update.received = initializer.integrator().unwrap().pipeline().clock().now();
    assert_eq!(initializer.source().unwrap().push(update), Pushed::Accepted);
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_bots_components_are_found_and_get_what_the_document_gives_them() {
    let ear = Ear::new();
    let initializer = quick_setup(
        "kraken",
        bot([
            (
                "balance_manager",
                ear.object("balances", &["process_websocket_update", "_handle_balance_message"]),
            ),
            (
                "trade_executor",
                ear.object("trading", &["update_ticker", "update_orderbook", "process_execution"]),
            ),
            ("strategy_manager", ear.object("strategy", &["on_ticker_update", "on_ohlc_update"])),
            ("critical_error_guardian", ear.object("guardian", &["process_market_data"])),
        ]),
    )
    .unwrap();
    let mut number = 0;
    let mut push = |channel: &str, data: &str| {
        number += 1;
        let update = update(VenueChannel::named(channel), "BTC/USD", number);
        push(&initializer, Update { data: data.to_string().into(), ..update });
    };
    push("balances", r#"[{"asset":"BTC","balance":1}]"#);
    assert_eq!(ear.next(), "balances.process_websocket_update BTC/USD");
    push("executions", "{}");
    assert_eq!(ear.next(), "trading.process_execution BTC/USD");
    push("ticker", "{}");
    let ticker = [
        "guardian.process_market_data ticker",
        "strategy.on_ticker_update BTC/USD",
        "trading.update_ticker BTC/USD",
    ];
    assert_eq!(ear.sorted(3), ticker);
    push("book", "{}");
    assert_eq!(ear.sorted(2), ["guardian.process_market_data book", "trading.update_orderbook BTC/USD"]);
    push("ohlc", "{}");
    assert_eq!(ear.sorted(2), ["guardian.process_market_data ohlc", "strategy.on_ohlc_update BTC/USD"]);
    push("trade", "{}");
    assert_eq!(ear.next(), "guardian.process_market_data trade");
    push("heartbeat", "{}");
    let heard = || initializer.monitor().unwrap().performance_report().sources["kraken"].heartbeats == 1;
    until("the monitor hears heartbeats", heard);
    let stats = initializer.stop(PATIENCE);
    assert_eq!(stats.messages_processed, 7);
    assert_eq!(stats.components["balance_manager"].skipped, 1, "it has no method for executions");
    assert_eq!(stats.components["trade_executor"].skipped, 1, "it has no method for trades");
    assert_eq!(stats.components["strategy_manager"].skipped, 1, "it has no method for books");
    assert!(stats.components.values().all(|component| component.balances()));
}

#[test]
fn components_are_added_by_hand_while_it_runs() {
    let ear = Ear::new();
    let initializer = quick_setup("kraken", ()).unwrap();
    let integrator = initializer.integrator().unwrap();
    let analyzer = || ear.object("mine", &["on_ticker_update", "on_book_update"]);
    let add = |name| {
        integrator.register_additional_component(name, analyzer(), &["ticker", "orderbook", "balances"])
    };
    add("my_custom_analyzer").unwrap();
    push(&initializer, ticker("BTC/USD", 1));
    assert_eq!(ear.next(), "mine.on_ticker_update BTC/USD");
    push(&initializer, update(VenueChannel::Book, "BTC/USD", 2));
    assert_eq!(ear.next(), "mine.on_book_update BTC/USD");
    let taken = add("my_custom_analyzer").unwrap_err().to_string();
    assert_eq!(taken, "component my_custom_analyzer is registered already; names are unique");
    let error = add("monitor").unwrap_err();
    assert!(matches!(error, SetupError::Pipeline(PipelineError::NameTaken(_))), "{error}");
    assert_eq!(integrator.components().len(), 1, "what the pipeline does not take is not registered");
    integrator.unregister("my_custom_analyzer").unwrap();
    add("my_custom_analyzer").unwrap();
}

#[test]
fn callbacks_are_called_in_order_even_if_every_component_fails_and_one_that_panics_costs_nobody() {
    let failing =
        Methods::new().on_data("on_ticker_update", |_| async { Err(Failure::Permanent("no".into())) });
    let initializer =
        quick_setup("kraken", bot([("strategy_manager", Arc::new(failing) as Arc<dyn Object>)])).unwrap();
    let integrator = initializer.integrator().unwrap();
    let (tell, told) = sync_channel(64);
    let first = tell.clone();
    integrator
        .set_callback("trade", move |update| {
            first.send(update.sequence.unwrap()).unwrap();
            async {}
        })
        .unwrap();
    integrator
        .set_callback("ticker", |_| async {
            if true {
                panic!("a callback that breaks");
            }
        })
        .unwrap();
    for number in 1..=20 {
        push(&initializer, ticker("BTC/USD", number));
        push(&initializer, update(VenueChannel::Trade, "BTC/USD", 100 + number));
    }
    let called: Vec<u64> = (0..20).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(called, (101..=120).collect::<Vec<_>>());
    let failed = || initializer.pipeline_stats().components["callback.ticker"].failed.contains_key("panic");
    until("a panic is counted", failed);
    integrator
        .set_callback("trade", move |update| {
            tell.send(update.sequence.unwrap() + 1_000).unwrap();
            async {}
        })
        .unwrap();
    push(&initializer, update(VenueChannel::Trade, "BTC/USD", 121));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 1_121, "set later, it takes the place of the other");
    let stats = initializer.stop(PATIENCE);
    let strategy = &stats.components["strategy_manager"];
    assert!(strategy.delivered == 0 && strategy.balances());
}

#[test]
fn each_mode_is_its_settings_and_nothing_is_initialized_twice() {
    let initializer = Initializer::new("kraken", ());
    assert!(!initializer.is_healthy() && !initializer.system_status().initialized);
    assert!(matches!(initializer.source(), Err(SetupError::NotYet)));
    initializer.initialize_basic().unwrap();
    assert!(initializer.monitor().is_none() && initializer.is_healthy());
    assert_eq!(initializer.settings(), Some(Mode::Basic.settings()));
    let error = initializer.initialize_complete(Complete::default()).unwrap_err().to_string();
    assert_eq!(error, "it is initialized already, in basic mode; restart it, or stop it first");
    initializer.stop(PATIENCE);
    initializer.initialize_high_performance().unwrap();
    assert_eq!(initializer.system_status().mode, "high-performance");
    assert_eq!(initializer.settings(), Some(Mode::HighPerformance.settings()));
    assert!(initializer.monitor().is_some());
    initializer.stop(PATIENCE);
    let queue = QueueConfig { max_size: 7, ..QueueConfig::default() };
    let complete = Complete {
        queue_config: Some(queue.clone()),
        enable_monitoring: Monitoring::Off,
        ..Complete::default()
    };
    initializer.initialize_complete(complete).unwrap();
    assert_eq!(initializer.settings().unwrap().queue, queue);
    let status = initializer.system_status();
    assert!((status.mode, status.monitoring, status.healthy) == ("balanced", false, true));
    assert_eq!(initializer.integrator().unwrap().pipeline().config().queue, queue);
}

#[test]
fn a_restart_loses_nothing() {
    let (seen, gate) = (Arc::<Mutex<Vec<f64>>>::default(), Arc::<AtomicBool>::default());
    let (seeing, waiting) = (seen.clone(), gate.clone());
    let strategy = Methods::new().on_data("on_ohlc_update", move |data| {
        let (seeing, waiting) = (seeing.clone(), waiting.clone());
        async move {
            while !waiting.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            seeing.lock().unwrap().push(data.number("last").unwrap());
        }
    });
    let initializer =
        Initializer::new("kraken", bot([("strategy_manager", Arc::new(strategy) as Arc<dyn Object>)]));
    initializer.initialize_basic().unwrap();
    for number in 1..=500 {
        if number % 100 == 0 {
            gate.store(number % 200 == 0, Ordering::Release);
            assert_eq!(initializer.restart_pipeline().unwrap(), Vec::<Arc<str>>::new());
        }
        push(&initializer, update(VenueChannel::Ohlc, "BTC/USD", number));
    }
    gate.store(true, Ordering::Release);
    let stats = initializer.stop(PATIENCE);
    let strategy = &stats.components["strategy_manager"];
    assert!(strategy.balances() && strategy.accepted == 500 && strategy.queued == [0; 4], "{strategy:?}");
    let given_up: u64 = strategy.dead_lettered.values().sum();
    assert_eq!(strategy.delivered + given_up, 500);
    assert!(given_up <= 5, "only a call under way may be given up: {strategy:?}");
    let numbers = seen.lock().unwrap();
    assert!(numbers.is_sorted(), "in order");
}

#[test]
fn what_happens_to_a_component_is_told_at_once_and_not_at_the_next_look() {
    let hanging = Methods::new().on_data("on_ticker_update", |_| {
        std::thread::sleep(Duration::from_millis(400));
        async {}
    });
    let (tell, told) = sync_channel(64);
    let initializer =
        Initializer::new("kraken", bot([("strategy_manager", Arc::new(hanging) as Arc<dyn Object>)]))
            .with_alerts(move |alert: &Alert| tell.send(alert.clone()).unwrap());
    initializer
        .initialize_complete(Complete {
            queue_config: Some(QueueConfig { timeout_seconds: 0.02, ..QueueConfig::default() }),
            performance_config: Some(PerformanceConfig {
                metrics_interval_seconds: 3_600.0,
                ..PerformanceConfig::default()
            }),
            ..Complete::default()
        })
        .unwrap();
    push(&initializer, ticker("BTC/USD", 1));
    let alert = loop {
        let alert = told.recv_timeout(PATIENCE).unwrap();
        if alert.rule == "hung:strategy_manager" {
            break alert;
        }
    };
    assert_eq!((alert.source.as_str(), alert.state), ("kraken", AlertState::Raised));
    assert!(!initializer.is_healthy());
    assert_eq!(initializer.system_status().components["monitor"], Health::Healthy);
    let resolved = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok())
        .find(|alert| alert.rule == "hung:strategy_manager")
        .unwrap();
    assert_eq!(resolved.state, AlertState::Resolved);
}

#[test]
fn an_iterator_and_a_channel_are_poured_in_until_the_pipeline_is_stopped() {
    let initializer = quick_setup("kraken", ()).unwrap();
    let source = initializer.source().unwrap();
    let twice = [ticker("BTC/USD", 1), ticker("BTC/USD", 1), ticker("", 2), ticker("BTC/USD", 3)];
    assert_eq!(pour(&source, twice), Poured { accepted: 2, left_out: 2, refused: 0 });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (send, mut updates) = tokio::sync::mpsc::channel(8);
    (4..=6).for_each(|number| send.try_send(ticker("BTC/USD", number)).unwrap());
    drop(send);
    let poured = runtime.block_on(pour_async(&source, async || updates.recv().await));
    assert_eq!(poured, Poured { accepted: 3, left_out: 0, refused: 0 });
    initializer.stop(PATIENCE);
    let endless = (7..).map(|number| ticker("BTC/USD", number));
    assert_eq!(pour(&source, endless), Poured { accepted: 0, left_out: 0, refused: 1 });
}

/// Letters that have no room until they are told that they have.
#[derive(Default)]
struct FullLetters {
    has_room: AtomicBool,
    refused: std::sync::atomic::AtomicU64,
    kept: MemoryLetters,
}

impl DeadLetters for FullLetters {
    fn put(&self, letter: Letter) -> Result<LetterId, NoRoom> {
        if self.has_room.load(Ordering::Acquire) {
            return self.kept.put(letter);
        }
        self.refused.fetch_add(1, Ordering::AcqRel);
        Err(NoRoom)
    }

    fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)> {
        self.kept.list(filter, most)
    }

    fn take(&self, id: LetterId) -> Option<Arc<Letter>> {
        self.kept.take(id)
    }

    fn kept(&self) -> Kept {
        self.kept.kept()
    }
}

/// A component that does not come back, a critical lane of one, and letters without room: until there is, what is poured
/// is refused.
fn poured_without_room(pour_all: impl FnOnce(&Source) -> Poured + Send + 'static) {
    let (letters, free) = (Arc::<FullLetters>::default(), Arc::<AtomicBool>::default());
    let hangs = free.clone();
    let hanging = Methods::new().on_data("process_execution", move |_| {
        while !hangs.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        async {}
    });
    let initializer =
        Initializer::new("kraken", bot([("trade_executor", Arc::new(hanging) as Arc<dyn Object>)]))
            .with_dead_letters(letters.clone());
    let queue = QueueConfig {
        max_size: 1,
        priority_multiplier: 1.0,
        timeout_seconds: 0.02,
        ..QueueConfig::default()
    };
    let complete = Complete { queue_config: Some(queue), ..Complete::default() };
    initializer.initialize_complete(complete).unwrap();
    let source = initializer.source().unwrap();
    let pouring = std::thread::spawn(move || pour_all(&source));
    until("an update is refused", || initializer.pipeline_stats().sources["kraken"].refused > 1);
    letters.has_room.store(true, Ordering::Release);
    assert_eq!(pouring.join().unwrap(), Poured { accepted: 4, left_out: 0, refused: 0 });
    free.store(true, Ordering::Release);
    let stats = initializer.stop(PATIENCE);
    let component = &stats.components["trade_executor"];
    assert!(component.accepted == 4 && component.balances(), "{component:?}");
}

fn executions() -> impl Iterator<Item = Update> {
    (1..=4).map(|number| update(VenueChannel::Executions, "BTC/USD", number))
}

#[test]
fn what_is_poured_and_finds_no_room_is_offered_until_it_is_taken() {
    poured_without_room(|source| pour(source, executions()));
    poured_without_room(|source| {
        let mut updates = executions();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pour_async(source, async || updates.next()))
    });
}
