//! Opening many connections, and resetting them all to see how fast they are back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, SockRef, Socket, Type};

use super::conn::Conn;
use super::line::Line;
use super::{Fleet, Hear, Plan, Reading, Slot};

/// How long the whole fleet may take to get ready.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// The receive buffer of a paced client: what it does not read must not hide in the kernel.
const PACED_BUFFER_BYTES: usize = 64 << 10;

impl Fleet {
    /// Adds clients and waits until each is ready, `at_once` on the way at a time. Answers how many
    /// connections had to be tried again.
    pub(crate) fn open(&mut self, plans: Vec<Plan>, at_once: usize, hear: &mut impl Hear) -> Result<usize> {
        let first = self.slots.len();
        self.slots.extend(plans.into_iter().map(|plan| Slot { plan, conn: None }));
        self.connect((first..self.slots.len()).collect(), at_once, hear)
    }

    /// Resets every connection (no FIN, no TIME_WAIT, as when a middlebox dies) and brings all back,
    /// `at_once` on the way at a time. Answers how many connections had to be tried again.
    pub(crate) fn reset_and_return(&mut self, at_once: usize, hear: &mut impl Hear) -> Result<usize> {
        for slot in &mut self.slots {
            slot.conn = None;
        }
        self.ready = 0;
        self.paced.clear();
        self.connect((0..self.slots.len()).collect(), at_once, hear)
    }

    fn connect(&mut self, mut waiting: Vec<usize>, at_once: usize, hear: &mut impl Hear) -> Result<usize> {
        waiting.reverse();
        let goal = self.ready + waiting.len();
        let deadline = Instant::now() + OPEN_LIMIT;
        let mut retries = 0;
        self.failed.clear();
        while self.ready < goal {
            let mut on_the_way = (goal - self.ready).saturating_sub(waiting.len());
            let mut batch = 0;
            while on_the_way < at_once && batch < 256 {
                let Some(client) = waiting.pop() else { break };
                self.start(client)?;
                on_the_way += 1;
                batch += 1;
            }
            // Between two batches the answers that are there are taken, without waiting for more.
            let timeout = if batch == 256 { Duration::ZERO } else { Duration::from_millis(50) };
            self.poll(timeout, hear)?;
            retries += self.failed.len();
            waiting.append(&mut self.failed);
            if Instant::now() > deadline {
                bail!("{} of {goal} clients are ready after {OPEN_LIMIT:?}, {retries} retries", self.ready);
            }
        }
        Ok(retries)
    }

    fn start(&mut self, client: usize) -> Result<()> {
        let slot = self.slots.get_mut(client).context("no such client")?;
        let mut stream = match slot.plan.reading {
            Reading::AtMost(_) => {
                let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM, None)?;
                // Before connecting: the window scale is fixed by the handshake.
                socket.set_recv_buffer_size(PACED_BUFFER_BYTES)?;
                socket.connect(&self.addr.into())?;
                socket.set_nonblocking(true)?;
                TcpStream::from_std(socket.into())
            }
            Reading::Free | Reading::Never => TcpStream::connect(self.addr)?,
        };
        let options = SockRef::from(&stream);
        options.set_tcp_nodelay(true)?;
        options.set_linger(Some(Duration::ZERO))?;
        self.poll.registry().register(&mut stream, Token(client), Interest::READABLE | Interest::WRITABLE)?;
        slot.conn = Some(Conn::new(Line::new(stream, self.tls.as_ref())?, &slot.plan));
        Ok(())
    }
}
