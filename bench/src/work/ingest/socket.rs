//! Publishing over WebSocket: a few connections send, one subscriber tells how far the server is. With
//! `latest` it need not hear every message, so its offset counts, not the number of deliveries.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::quote::{self, CHANNEL};
use super::{IngestArgs, Listener, WARM_UP};
use crate::fleet::{Fleet, Plan};
use crate::procfs::{cpu_seconds, float};
use crate::report::Sample;
use crate::server::Server;

const STALL: Duration = Duration::from_secs(10);

/// Measures one server.
pub(super) fn run(server: &Server, args: &IngestArgs) -> Result<Sample> {
    let mut listener = Listener::default();
    let mut fleet = Fleet::new(server.addr)?;
    fleet.open(vec![Plan::subscriber(&[CHANNEL.to_owned()])], 1, &mut listener)?;
    fleet.open(vec![Plan::publisher(); args.publishers], 8, &mut listener)?;
    let mut source = Source {
        frames: quote::frames(),
        outs: vec![Vec::new(); args.publishers],
        sent: 0,
        window: args.outstanding,
    };
    source.drive(&mut fleet, &mut listener, WARM_UP)?;
    let (cpu, seen, deliveries) = (cpu_seconds(server.pid())?, listener.seen, listener.deliveries);
    let elapsed = source.drive(&mut fleet, &mut listener, args.duration())?;
    let cpu = cpu_seconds(server.pid())? - cpu;
    if listener.seen == seen {
        bail!("the subscriber heard nothing in {elapsed:.1} s");
    }
    let publishes = float(listener.seen - seen);
    fleet.check_all_alive()?;
    Ok(vec![
        ("WebSocket publishes/s", publishes / elapsed),
        ("WebSocket CPU us/publish", cpu * 1e6 / publishes),
        ("WebSocket seen %", float(listener.deliveries - deliveries) * 100.0 / publishes),
    ])
}

struct Source {
    frames: Vec<Vec<u8>>,
    /// What goes out next, by publisher.
    outs: Vec<Vec<u8>>,
    sent: u64,
    window: u64,
}

impl Source {
    fn drive(&mut self, fleet: &mut Fleet, listener: &mut Listener, time: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut progress = (start, listener.seen);
        loop {
            self.refill(fleet, listener)?;
            fleet.poll(Duration::from_millis(100), listener)?;
            let now = Instant::now();
            if now - start >= time {
                return Ok((now - start).as_secs_f64());
            }
            if progress.1 != listener.seen {
                progress = (now, listener.seen);
            } else if now - progress.0 > STALL {
                bail!("the subscriber is stuck at {} of {} publishes", listener.seen, self.sent);
            }
        }
    }

    /// Fills the window, the publishers by turns, with one write each.
    fn refill(&mut self, fleet: &mut Fleet, listener: &Listener) -> Result<()> {
        if listener.seen > self.sent {
            bail!("the server counts {} messages, {} were sent", listener.seen, self.sent);
        }
        let room = usize::try_from(self.window.saturating_sub(self.sent - listener.seen))?;
        let share = room.div_ceil(self.outs.len().max(1));
        let mut frames = self.frames.iter().cycle().skip(usize::try_from(self.sent % 64)?);
        let mut left = room;
        for (publisher, out) in self.outs.iter_mut().enumerate() {
            for frame in frames.by_ref().take(share.min(left)) {
                out.extend_from_slice(frame);
            }
            left -= share.min(left);
            if !out.is_empty() {
                fleet.send(publisher + 1, out)?;
                out.clear();
            }
        }
        self.sent += u64::try_from(room)?;
        Ok(())
    }
}
