//! A plain client: the broker's commands written as fast as answers come, and another connection that hears them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use super::{RedisArgs, RedisServer, due_times, wait_until};

/// Lines of an answer of the script: `*2`, `:OFFSET`, `$LEN`, the epoch.
const LINES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Times {
    published: VecDeque<Instant>,
    took: Vec<u64>,
}

/// See the module.
pub(super) struct Bare {
    stream: TcpStream,
    commands: Vec<Vec<u8>>,
    times: Arc<Mutex<Times>>,
}

fn lock(times: &Mutex<Times>) -> std::sync::MutexGuard<'_, Times> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(server: &RedisServer) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Bare {
    pub(super) fn open(server: &RedisServer, args: &RedisArgs, commands: &[Vec<u8>]) -> Result<Self> {
        let mut hearing = connect(server)?;
        hearing.set_read_timeout(None)?;
        let topics = (0..args.publishers).map(|number| format!(" tapeline:c:{}", RedisArgs::channel(number)));
        hearing.write_all(format!("SUBSCRIBE{}\r\n", topics.collect::<String>()).as_bytes())?;
        let times = Arc::new(Mutex::new(Times::default()));
        let told = times.clone();
        std::thread::spawn(move || hear(hearing, &told));
        let mut bare = Self { stream: connect(server)?, commands: commands.to_vec(), times };
        bare.stream.write_all(b"PING\r\n")?;
        let mut pong = [0; 7];
        bare.stream.read_exact(&mut pong).context("a PONG")?;
        Ok(bare)
    }

    /// Answers a second, with as many commands under way as all publishers of the broker have.
    pub(super) fn throughput(&self, args: &RedisArgs) -> Result<f64> {
        let mut stream = &self.stream;
        let mut commands = self.commands.iter().cycle();
        let (mut piece, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        let (mut free, mut lines, mut count) = (args.publishers * args.outstanding, 0, 0);
        let mut under_way = 0;
        let start = Instant::now();
        while start.elapsed() < args.window() || under_way > 0 {
            if start.elapsed() < args.window() {
                piece.clear();
                commands.by_ref().take(free).for_each(|command| piece.extend_from_slice(command));
                under_way += std::mem::take(&mut free);
                stream.write_all(&piece)?;
            }
            let read = stream.read(&mut buffer).context("answers")?;
            if read == 0 {
                bail!("redis hung up");
            }
            lines += buffer.iter().take(read).filter(|byte| **byte == b'\n').count();
            let answers = lines / LINES;
            lines %= LINES;
            free += answers;
            under_way -= answers;
            count += answers;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// From the write to the message.
    pub(super) fn times(&self, args: &RedisArgs) -> Result<Histogram<u64>> {
        let (mut stream, mut buffer) = (&self.stream, [0; 4_096]);
        let Some(command) = self.commands.first() else { bail!("no command") };
        // What was under way before has been heard.
        std::thread::sleep(Duration::from_millis(200));
        for due in due_times(args) {
            wait_until(due);
            lock(&self.times).published.push_back(Instant::now());
            stream.write_all(command)?;
            if stream.read(&mut buffer)? == 0 {
                bail!("redis hung up");
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        lock(&self.times).took.iter().for_each(|took| histogram.saturating_record(*took));
        Ok(histogram)
    }
}

/// Where a message begins, after the lengths.
const MESSAGE: &[u8] = b"\r\nmessage\r\n";

/// Reads until the other side is gone. Times are taken at a rate at which messages come in whole.
fn hear(mut stream: TcpStream, times: &Mutex<Times>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        let mut times = lock(times);
        if times.published.is_empty() {
            continue;
        }
        let heard = buffer.get(..read).unwrap_or_default().windows(MESSAGE.len());
        for _ in heard.filter(|piece| *piece == MESSAGE) {
            let Some(since) = times.published.pop_front() else { break };
            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            times.took.push(took);
        }
    }
}
