//! PUBLISH through the Redis door beside a real `redis-server`, as `redis-benchmark -P` does it: each connection writes so
//! many commands at once and the next when all are answered. One subscriber hears every message and counts.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::fleet::{Door, Fleet, Hear, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target};
use crate::session::{Common, Session};
use crate::template::{self, FIRST_N, Publish, Reader};
use crate::text;

/// No answer or no message for so long: something was lost.
const STALL: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(1);
/// The client that hears; the publishers are the ones behind it.
const SUBSCRIBER: usize = 0;

/// Settings of `redis-publish`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RedisPublishArgs {
    /// Connections that publish.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Commands that a connection writes at once.
    #[arg(long, default_value_t = 16)]
    pipeline: u32,
    /// Bytes of data.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Measured seconds, after one to warm up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Measures.
pub(crate) fn run(args: &RedisPublishArgs, common: &Common) -> Result<Report> {
    let session = Session::at(Door::Redis, common, args.payload)?;
    let load = format!(
        "{} connections x {} PUBLISH at once, {} B of data, 1 channel, 1 subscriber, {} s",
        args.connections, args.pipeline, args.payload, args.seconds
    );
    let goals = vec![Goal::ratio("publishes/s", Target::RedisServer, Bound::AtLeast(0.35))];
    let mut report = Report::new("redis-publish", load, goals);
    session.measure(&mut report, |server| measure(server, args))?;
    Ok(report)
}

/// What was answered to each publisher, and what was heard of it.
struct Tally {
    reader: Reader,
    /// By publisher: commands without an answer.
    open: Vec<u32>,
    /// By publisher: messages heard, which is also the number that the next must have.
    heard: Vec<u64>,
    answers: u64,
    wrong: u64,
    foreign: Option<String>,
}

impl Tally {
    fn new(publishers: usize) -> Self {
        let (open, heard) = (vec![0; publishers], vec![0; publishers]);
        Self { reader: Reader::default(), open, heard, answers: 0, wrong: 0, foreign: None }
    }

    fn all_heard(&self) -> u64 {
        self.heard.iter().sum()
    }

    fn check(&self) -> Result<()> {
        if let Some(foreign) = &self.foreign {
            bail!("a message that is no delivery: {foreign}");
        }
        if self.wrong > 0 {
            bail!("{} messages or answers came twice, out of order or after a hole", self.wrong);
        }
        Ok(())
    }
}

impl Hear for Tally {
    #[inline]
    fn on_text(&mut self, _client: usize, payload: &[u8], _now_ns: u64) {
        let Some(n) = self.reader.n(payload) else {
            self.foreign.get_or_insert_with(|| text::excerpt(payload));
            return;
        };
        let publishers = u64::try_from(self.heard.len()).unwrap_or(1).max(1);
        let step = n.wrapping_sub(FIRST_N);
        let publisher = usize::try_from(step % publishers).unwrap_or(0);
        if let Some(heard) = self.heard.get_mut(publisher) {
            self.wrong += u64::from(step / publishers != *heard);
            *heard += 1;
        }
    }

    #[inline]
    fn on_answer(&mut self, client: usize, _now_ns: u64) {
        self.answers += 1;
        match self.open.get_mut(client.wrapping_sub(SUBSCRIBER + 1)) {
            Some(open) if *open > 0 => *open -= 1,
            _ => self.wrong += 1,
        }
    }
}

struct Source {
    publish: Publish,
    pipeline: u32,
    /// By publisher: how many it has sent.
    sent: Vec<u64>,
    out: Vec<u8>,
}

impl Source {
    /// Keeps every connection busy for a time; answers the seconds it took.
    fn drive(&mut self, fleet: &mut Fleet, tally: &mut Tally, time: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut progress = (start, tally.answers);
        loop {
            self.refill(fleet, tally)?;
            fleet.poll(Duration::from_millis(100), tally)?;
            let now = Instant::now();
            if now - start >= time {
                tally.check()?;
                return Ok((now - start).as_secs_f64());
            }
            progress = self.advance(progress, tally.answers, tally)?;
        }
    }

    /// Waits until every command is answered and every message heard.
    fn drain(&self, fleet: &mut Fleet, tally: &mut Tally) -> Result<()> {
        let sent: u64 = self.sent.iter().sum();
        let mut progress = (Instant::now(), 0);
        while tally.all_heard() < sent || tally.open.iter().any(|open| *open > 0) {
            fleet.poll(Duration::from_millis(100), tally)?;
            progress = self.advance(progress, tally.answers + tally.all_heard(), tally)?;
        }
        tally.check()
    }

    fn advance(&self, progress: (Instant, u64), done: u64, tally: &Tally) -> Result<(Instant, u64)> {
        let now = Instant::now();
        if done != progress.1 {
            return Ok((now, done));
        }
        if now - progress.0 > STALL {
            tally.check()?;
            let sent: u64 = self.sent.iter().sum();
            bail!(
                "nothing for {STALL:?}: {sent} sent, {} answered, {} heard",
                tally.answers,
                tally.all_heard()
            );
        }
        Ok(progress)
    }

    fn refill(&mut self, fleet: &mut Fleet, tally: &mut Tally) -> Result<()> {
        let publishers = u64::try_from(self.sent.len())?;
        for (index, (sent, open)) in self.sent.iter_mut().zip(&mut tally.open).enumerate() {
            if *open > 0 {
                continue;
            }
            let now_ns = fleet.clock.now_ns();
            for _ in 0..self.pipeline {
                let n = FIRST_N + *sent * publishers + u64::try_from(index)?;
                self.publish.put(&mut self.out, 0, n, now_ns);
                *sent += 1;
            }
            *open = self.pipeline;
            fleet.send(SUBSCRIBER + 1 + index, &self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

fn measure(server: &Server, args: &RedisPublishArgs) -> Result<Sample> {
    let mut tally = Tally::new(args.connections);
    let mut fleet = Fleet::new(server.door(Door::Redis)?)?;
    fleet.open(vec![Plan::at(Door::Redis, &[template::channel(0)])], 1, &mut tally)?;
    fleet.open(vec![Plan::at(Door::Redis, &[]); args.connections], 64, &mut tally)?;
    let mut source = Source {
        publish: Publish::at(Door::Redis, args.payload),
        pipeline: args.pipeline.max(1),
        sent: vec![0; args.connections],
        out: Vec::new(),
    };
    source.drive(&mut fleet, &mut tally, WARM_UP)?;
    let (cpu, answers, heard) = (cpu_seconds(server.pid())?, tally.answers, tally.all_heard());
    let elapsed = source.drive(&mut fleet, &mut tally, Duration::from_secs_f64(args.seconds))?;
    let cpu = cpu_seconds(server.pid())? - cpu;
    let (publishes, heard) = (float(tally.answers - answers), float(tally.all_heard() - heard));
    if publishes == 0.0 {
        bail!("no answer in {elapsed:.1} s");
    }
    source.drain(&mut fleet, &mut tally)?;
    fleet.check_all_alive()?;
    Ok(vec![
        ("publishes/s", publishes / elapsed),
        ("server CPU us/publish", cpu * 1e6 / publishes),
        ("publishes/CPU s", publishes / cpu.max(0.01)),
        ("messages/s", heard / elapsed),
        ("server CPU share", cpu / elapsed),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the subscriber of two publishers hears, as (publisher, number).
    fn heard(messages: &[(u64, u64)]) -> Tally {
        let mut tally = Tally::new(2);
        for (publisher, number) in messages {
            let data = format!(r#"{{"n":{},"t":1}}"#, FIRST_N + number * 2 + publisher);
            tally.on_text(SUBSCRIBER, data.as_bytes(), 0);
        }
        tally
    }

    #[test]
    fn a_hole_a_repetition_and_a_foreign_message_end_the_run() {
        let right = heard(&[(0, 0), (1, 0), (1, 1), (0, 1)]);
        assert!(right.check().is_ok());
        assert_eq!(right.all_heard(), 4);
        assert!(heard(&[(0, 0), (0, 2)]).check().is_err());
        assert!(heard(&[(0, 0), (0, 0)]).check().is_err());
        assert!(heard(&[(1, 1), (1, 0)]).check().is_err());
        let mut foreign = Tally::new(1);
        foreign.on_text(SUBSCRIBER, b"hello", 0);
        assert!(foreign.check().is_err());
    }

    #[test]
    fn an_answer_that_nothing_waits_for_ends_the_run() {
        let mut tally = Tally::new(1);
        tally.open = vec![1];
        tally.on_answer(SUBSCRIBER + 1, 0);
        assert!(tally.check().is_ok());
        tally.on_answer(SUBSCRIBER + 1, 0);
        assert!(tally.check().is_err());
    }
}
