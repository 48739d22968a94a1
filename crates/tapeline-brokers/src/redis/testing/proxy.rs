//! A line to Redis that a test can break: a TCP proxy that cuts, keeps silent, or stops in the middle of a reply.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct State {
    to: AtomicU16,
    /// Connections are refused.
    cut: AtomicBool,
    /// Nothing passes, and nobody is told.
    silent: AtomicBool,
    /// Bytes of replies that still pass before everything is cut; none if negative.
    replies: AtomicI64,
    /// No requests pass, replies do.
    ended: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// See the module.
pub(crate) struct Proxy {
    state: Arc<State>,
    port: u16,
}

impl Proxy {
    /// A line to this port.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            to: AtomicU16::new(port),
            cut: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            replies: AtomicI64::new(-1),
            ended: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let accepting = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                accepting.open(stream);
            }
        });
        Proxy { state, port: own }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on new connections lead to this port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.state.to.store(port, Ordering::Relaxed);
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.state.cut.store(true, Ordering::Relaxed);
        self.state.close();
    }

    /// Cuts all connections once; new ones are taken.
    pub(crate) fn reset(&self) {
        self.state.close();
    }

    /// Cuts all connections when so many more bytes of replies have passed.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.state.replies.store(bytes, Ordering::Relaxed);
    }

    /// Nothing passes any more, and nobody is told.
    pub(crate) fn silence(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    /// The line is whole again; what kept silent is cut.
    pub(crate) fn mend(&self) {
        self.state.replies.store(-1, Ordering::Relaxed);
        if self.state.silent.swap(false, Ordering::Relaxed) {
            self.state.close();
        }
        self.state.cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.state.close();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn close(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn open(self: &Arc<Self>, client: TcpStream) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.to.load(Ordering::Relaxed))) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut streams = self.streams.lock().unwrap();
        streams.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        drop(streams);
        let (back, forth) = (self.clone(), self.clone());
        let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || forth.carry(from_client, server, false));
        std::thread::spawn(move || back.carry(from_server, client, true));
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, replies: bool) {
        let mut buffer = [0; 16 << 10];
        while let Ok(read) = from.read(&mut buffer) {
            if read == 0 {
                break;
            }
            while self.silent.load(Ordering::Relaxed) {
                // Held back until the line is mended, which cuts it.
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut passes = read;
            if replies && self.replies.load(Ordering::Relaxed) >= 0 {
                let left = self.replies.fetch_sub(read as i64, Ordering::Relaxed);
                passes = usize::try_from(left).unwrap_or(0).min(read);
            }
            if to.write_all(&buffer[..passes]).is_err() {
                break;
            }
            if passes < read {
                self.cut.store(true, Ordering::Relaxed);
                self.close();
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
