//! The floor: the least a server can do and still deliver. It takes WebSocket upgrades, remembers
//! who subscribed to which `bench:NNNN`, and answers each publish with ready-made bytes. It parses no
//! JSON on the way, keeps no history, knows no limits. What the product adds on top is its price.
//! Mode `a` writes once per message and socket, mode `b` joins what one wake-up brought.

mod conn;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::template::{self, Delivery};
use conn::{Conn, Heard};

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 1 << 20;

/// How deliveries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// One write per message and socket.
    A,
    /// One write per socket for all messages of one wake-up.
    B,
}

/// Settings of the floor.
#[derive(Debug, clap::Args)]
pub(crate) struct FloorArgs {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// How deliveries are written.
    #[arg(long, value_enum, default_value = "a")]
    mode: Mode,
    /// A frame as the product delivered it; without it an imagined one.
    #[arg(long)]
    frame_file: Option<PathBuf>,
    /// Bytes of `data` in the imagined frame.
    #[arg(long, default_value_t = 200)]
    payload: usize,
}

struct Floor {
    poll: Poll,
    mode: Mode,
    delivery: Delivery,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    /// By channel number: who subscribed.
    subscribers: Vec<Vec<usize>>,
    /// Mode b, by channel number: the joined frames of this wake-up.
    joined: Vec<Vec<u8>>,
    touched: Vec<usize>,
}

/// Serves until the parent process ends.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    // The bench may be killed without a chance to clean up.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let delivery = match &args.frame_file {
        Some(file) => {
            Delivery::new(std::fs::read(file).with_context(|| format!("reading {}", file.display()))?)?
        }
        None => Delivery::imagined(args.payload)?,
    };
    let mut listener = listen(args.listen)?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        mode: args.mode,
        delivery,
        conns: Vec::new(),
        free: Vec::new(),
        subscribers: Vec::new(),
        joined: Vec::new(),
        touched: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    let mut buf = vec![0; BUFFER_BYTES];
    loop {
        match floor.poll.poll(&mut events, Some(Duration::from_secs(60))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener)?,
                Token(index) => floor.on_event(index, event.is_writable(), &mut buf),
            }
        }
        floor.write_joined();
    }
}

/// Binds with a queue long enough for a storm; std and mio listen with 1,024 or less.
fn listen(addr: SocketAddr) -> Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into()).with_context(|| format!("binding {addr}"))?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The peer was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.poll.registry().register(
                &mut stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            if let Some(slot) = self.conns.get_mut(index) {
                *slot = Some(Conn::new(stream));
            }
        }
    }

    fn on_event(&mut self, index: usize, writable: bool, buf: &mut [u8]) {
        let Some(mut conn) = self.conns.get_mut(index).and_then(Option::take) else { return };
        let mut alive = !writable || conn.flush();
        while alive {
            let Some((filled, more)) = conn.fill(buf) else {
                alive = false;
                break;
            };
            alive = conn.hear(buf.get(..filled).unwrap_or_default(), |heard| match heard {
                Heard::Subscribe(channel) => self.subscribe(index, channel),
                Heard::Publish { text, mask } => self.publish(text, mask),
            });
            if !more {
                break;
            }
        }
        if alive {
            if let Some(slot) = self.conns.get_mut(index) {
                *slot = Some(conn);
            }
        } else {
            for &channel in &conn.channels {
                if let Some(list) = self.subscribers.get_mut(channel) {
                    list.retain(|&other| other != index);
                }
            }
            self.free.push(index);
        }
    }

    fn subscribe(&mut self, index: usize, channel: usize) {
        if self.subscribers.len() <= channel {
            self.subscribers.resize_with(channel + 1, Vec::new);
            self.joined.resize_with(channel + 1, Vec::new);
        }
        if let Some(list) = self.subscribers.get_mut(channel) {
            list.push(index);
        }
    }

    fn publish(&mut self, text: &[u8], mask: [u8; 4]) {
        self.delivery.patch(text, mask);
        let channel = template::channel_of(text, mask);
        if self.mode == Mode::A {
            let list = self.subscribers.get(channel).map(Vec::as_slice).unwrap_or_default();
            write_to(&mut self.conns, list, self.delivery.bytes());
        } else if let Some(joined) = self.joined.get_mut(channel) {
            if joined.is_empty() {
                self.touched.push(channel);
            }
            joined.extend_from_slice(self.delivery.bytes());
        }
    }

    fn write_joined(&mut self) {
        for channel in self.touched.drain(..) {
            if let (Some(list), Some(joined)) = (self.subscribers.get(channel), self.joined.get_mut(channel))
            {
                write_to(&mut self.conns, list, joined);
                joined.clear();
            }
        }
    }
}

fn write_to(conns: &mut [Option<Conn>], list: &[usize], bytes: &[u8]) {
    for &index in list {
        if let Some(Some(conn)) = conns.get_mut(index) {
            conn.write(bytes);
        }
    }
}
