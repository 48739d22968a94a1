//! Somebody who has nothing to do with it: subscribed to a channel that is fed all the time, while others attack. And the
//! hub itself, whose memory must not grow and which must end as it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Hub};

const CHANNEL: &str = "bystander";
/// Between two messages.
const PACE: Duration = Duration::from_millis(2);
/// So long the bystander is watched before the attack.
const QUIET: Duration = Duration::from_millis(500);
/// The worst pause may be so many times that of a quiet hub ...
const RATIO: u32 = 40;
/// ... and where that was short, so long: machines that test have other work.
const PAUSE: Duration = Duration::from_secs(2);
/// What a hub may take over two passes, after a first one that fills what is kept.
const GROWTH_BYTES: usize = 12 << 20;

/// See the module.
struct Bystander {
    stops: Arc<AtomicBool>,
    worst_us: Arc<AtomicU64>,
    publisher: JoinHandle<u64>,
    subscriber: JoinHandle<u64>,
}

impl Bystander {
    fn new(hub: &Hub) -> Bystander {
        let (mut hears, mut says) = (Client::connect(hub), Client::connect(hub));
        hears.subscribe(CHANNEL);
        let (stops, worst_us) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let publisher = std::thread::spawn({
            let stops = stops.clone();
            move || {
                let mut sent = 0;
                while !stops.load(Ordering::Relaxed) {
                    sent += 1;
                    says.send(&json!({"action": "publish", "channel": CHANNEL, "data": sent}));
                    std::thread::sleep(PACE);
                }
                says.send(&json!({"action": "publish", "channel": CHANNEL, "data": "end"}));
                sent + 1
            }
        });
        let subscriber = std::thread::spawn({
            let worst_us = worst_us.clone();
            move || {
                let (mut heard, mut last) = (0, Instant::now());
                loop {
                    let frame = hears.next();
                    if frame.channel() != CHANNEL {
                        continue;
                    }
                    heard += 1;
                    assert_eq!(frame.offset(), heard, "the bystander missed something: {}", frame.text);
                    let pause = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
                    worst_us.fetch_max(pause, Ordering::Relaxed);
                    last = Instant::now();
                    if frame.json["data"] == "end" {
                        return heard;
                    }
                }
            }
        });
        Bystander { stops, worst_us, publisher, subscriber }
    }

    /// The longest pause since the last call.
    fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_us.swap(0, Ordering::Relaxed))
    }

    /// Asserts that everything came.
    fn end(self) {
        self.stops.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("the bystander's publisher went on");
        let heard = self.subscriber.join().expect("the bystander heard everything in order");
        assert_eq!(heard, sent, "messages that the bystander heard, messages that were published");
    }
}

/// Runs an attack three times against a hub of its own, with a bystander; the number of the pass, from 1 on, is handed in.
pub(crate) fn attack(pass: impl Fn(&Hub, usize)) {
    let mut hub = Hub::with_log();
    let bystander = Bystander::new(&hub);
    std::thread::sleep(QUIET);
    let quiet = bystander.worst();
    pass(&hub, 1);
    let before = hub.memory_bytes();
    pass(&hub, 2);
    pass(&hub, 3);
    let after = hub.memory_bytes();
    let worst = bystander.worst();
    bystander.end();
    let allowed = (quiet * RATIO).max(PAUSE);
    assert!(worst <= allowed, "the bystander waited {worst:?}, {quiet:?} on a quiet hub");
    assert!(after <= before + GROWTH_BYTES, "{before} bytes of memory became {after} over two passes");
    hub.terminate();
    let status = hub.wait();
    assert!(status.success(), "the hub ended with {status}: {}", hub.log());
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}
