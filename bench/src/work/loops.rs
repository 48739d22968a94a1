//! The closed loop that `fanout` and `channels` share: a window of publishes that are outstanding
//! until the last subscribed client has each; it refills as they complete.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::fleet::{Door, Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::Sample;
use crate::server::Server;
use crate::template::{FIRST_N, Publish, Reader};
use crate::text;

/// No delivery for so long: something was lost.
const STALL: Duration = Duration::from_secs(10);

/// What a closed loop does.
pub(crate) struct Loop {
    pub(crate) door: Door,
    pub(crate) payload: usize,
    pub(crate) window: u64,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// For each publish in turn: a channel, and how many clients have it.
    pub(crate) order: Vec<(usize, u32)>,
    /// All clients have the one channel, so each must hear each number in order.
    pub(crate) dense: bool,
}

/// Counts deliveries per publish. The ring holds at least the window.
struct Tally {
    reader: Reader,
    /// By sequence number modulo the ring: which publish, and who still lacks it.
    ring: Vec<(u64, u32)>,
    last: Vec<u64>,
    dense: bool,
    outstanding: u64,
    deliveries: u64,
    wrong: u64,
    foreign: Vec<String>,
}

impl Tally {
    fn new(window: u64, clients: usize, dense: bool) -> Self {
        let size = usize::try_from(window.next_power_of_two()).unwrap_or(1);
        Self {
            reader: Reader::default(),
            ring: vec![(0, 0); size],
            last: vec![FIRST_N - 1; clients],
            dense,
            outstanding: 0,
            deliveries: 0,
            wrong: 0,
            foreign: Vec::new(),
        }
    }

    fn place(&mut self, n: u64) -> Option<&mut (u64, u32)> {
        let mask = u64::try_from(self.ring.len()).unwrap_or(1) - 1;
        self.ring.get_mut(usize::try_from(n & mask).unwrap_or(0))
    }

    /// A slot may still be in use although the window has room: publishes complete out of order.
    fn is_free(&mut self, n: u64) -> bool {
        self.place(n).is_some_and(|(_, left)| *left == 0)
    }

    fn publish(&mut self, n: u64, expected: u32) {
        if let Some(place) = self.place(n) {
            *place = (n, expected);
        }
        self.outstanding += 1;
    }

    fn check(&self) -> Result<()> {
        if let Some(first) = self.foreign.first() {
            bail!("a frame that is no delivery: {first}");
        }
        if self.wrong > 0 {
            bail!("{} deliveries came twice or out of order", self.wrong);
        }
        Ok(())
    }
}

impl Hear for Tally {
    #[inline]
    fn on_text(&mut self, client: usize, payload: &[u8], _now_ns: u64) {
        let Some(n) = self.reader.n(payload) else {
            if self.foreign.len() < 3 {
                self.foreign.push(text::excerpt(payload));
            }
            return;
        };
        self.deliveries += 1;
        let dense = self.dense;
        if let Some(last) = self.last.get_mut(client) {
            let in_order = !dense || n == *last + 1;
            *last = n;
            self.wrong += u64::from(!in_order);
        }
        match self.place(n) {
            Some((own, left)) if *own == n && *left > 0 => {
                *left -= 1;
                if *left == 0 {
                    self.outstanding -= 1;
                }
            }
            _ => self.wrong += 1,
        }
    }
}

/// Runs the loop against one server with the given subscribers.
pub(crate) fn run(server: &Server, settings: &Loop, subscribers: Vec<Plan>) -> Result<Sample> {
    drive(server, Fleet::new(server.door(settings.door)?)?, settings, subscribers)
}

/// The same with a fleet that has nobody yet.
pub(crate) fn drive(
    server: &Server,
    mut fleet: Fleet,
    settings: &Loop,
    subscribers: Vec<Plan>,
) -> Result<Sample> {
    let publisher = subscribers.len();
    let mut tally = Tally::new(settings.window * 16, publisher, settings.dense);
    fleet.open(subscribers, 256, &mut tally)?;
    fleet.open(vec![Plan::at(settings.door.of_publisher(), &[])], 1, &mut tally)?;

    let publish = Publish::at(settings.door, settings.payload);
    let mut source = Source { settings, publish, n: FIRST_N, out: Vec::new() };
    source.drive(&mut fleet, &mut tally, settings.warm_up)?;
    let (cpu, before, sent) = (cpu_seconds(server.pid())?, tally.deliveries, source.n);
    let elapsed = source.drive(&mut fleet, &mut tally, settings.duration)?;
    let cpu = cpu_seconds(server.pid())? - cpu;
    if tally.deliveries == before {
        bail!("no delivery in {elapsed:.1} s");
    }
    let deliveries = float(tally.deliveries - before);
    let publishes = float(source.n - sent);

    source.drain(&mut fleet, &mut tally)?;
    fleet.check_all_alive()?;
    Ok(vec![
        ("deliveries/s", deliveries / elapsed),
        ("server CPU us/delivery", cpu * 1e6 / deliveries),
        ("deliveries/CPU s", deliveries / cpu.max(0.01)),
        ("publishes/s", publishes / elapsed),
        ("server CPU share", cpu / elapsed),
    ])
}

struct Source<'a> {
    settings: &'a Loop,
    publish: Publish,
    n: u64,
    out: Vec<u8>,
}

impl Source<'_> {
    /// Keeps the window full for a time; answers the seconds it took.
    fn drive(&mut self, fleet: &mut Fleet, tally: &mut Tally, time: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut progress = (start, tally.deliveries);
        loop {
            self.refill(fleet, tally)?;
            fleet.poll(Duration::from_millis(100), tally)?;
            let now = Instant::now();
            if now - start >= time {
                tally.check()?;
                return Ok((now - start).as_secs_f64());
            }
            progress = check_progress(progress, now, tally)?;
        }
    }

    /// Waits until nothing is outstanding: what was counted has really arrived everywhere.
    fn drain(&mut self, fleet: &mut Fleet, tally: &mut Tally) -> Result<()> {
        let mut progress = (Instant::now(), tally.deliveries);
        while tally.outstanding > 0 {
            fleet.poll(Duration::from_millis(100), tally)?;
            progress = check_progress(progress, Instant::now(), tally)?;
        }
        tally.check()
    }

    fn refill(&mut self, fleet: &mut Fleet, tally: &mut Tally) -> Result<()> {
        while tally.outstanding < self.settings.window && tally.is_free(self.n) {
            let turn = usize::try_from(self.n - FIRST_N).unwrap_or(0) % self.settings.order.len().max(1);
            let Some(&(channel, expected)) = self.settings.order.get(turn) else {
                bail!("nothing to publish")
            };
            tally.publish(self.n, expected);
            self.publish.put(&mut self.out, channel, self.n, fleet.clock.now_ns());
            self.n += 1;
        }
        if !self.out.is_empty() {
            fleet.send(tally.last.len(), &self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

fn check_progress(progress: (Instant, u64), now: Instant, tally: &Tally) -> Result<(Instant, u64)> {
    if progress.1 != tally.deliveries {
        return Ok((now, tally.deliveries));
    }
    if now - progress.0 > STALL {
        tally.check()?;
        bail!(
            "no delivery for {STALL:?}, {} publishes outstanding after {}",
            tally.outstanding,
            tally.deliveries
        );
    }
    Ok(progress)
}
