//! The line to a server, broken as tests want it: every break is a reset, as a dead network's is in the end; what is held
//! back arrives late, as it does when the network returns.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

/// How long a thread may be stuck in a write before it looks whether its connection still stands.
const STUCK: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    to: u16,
    refuses: bool,
    holds: bool,
    ended: bool,
    /// So many bytes of replies still pass before all is reset.
    passes: Option<usize>,
    /// The client's and the server's end of each connection that stands.
    lines: HashMap<u64, [Arc<TcpStream>; 2]>,
    opened: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// See the module.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// A line to this port of the loopback.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let own = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared::default());
        shared.lock().to = port;
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.lock().ended {
                    return;
                }
                accepting.open(client);
            }
        });
        Proxy { shared, port: own }
    }

    /// The URL of a Redis behind it, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to this port from now on; those that stand are reset.
    pub fn lead_to(&self, port: u16) {
        let mut state = self.shared.lock();
        state.to = port;
        self.shared.reset(&mut state);
    }

    /// Resets all connections once.
    pub fn reset(&self) {
        self.shared.reset(&mut self.shared.lock());
    }

    /// Resets all connections when so many more bytes of replies have passed: in the middle of one.
    pub fn reset_after(&self, bytes: usize) {
        self.shared.lock().passes = Some(bytes);
    }

    /// Resets all connections, and new ones, until it is healed. What was held back is gone.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.refuses = true;
        self.shared.reset(&mut state);
    }

    /// Nothing passes any more and nobody is told.
    pub fn hold(&self) {
        self.shared.lock().holds = true;
    }

    /// The line is whole again; what was held back arrives now, also from who has gone meanwhile.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        (state.refuses, state.holds, state.passes) = (false, false, None);
        self.shared.changed.notify_all();
    }

    /// How many connections stand.
    pub fn connections(&self) -> usize {
        self.shared.lock().lines.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.reset(&mut state);
        drop(state);
        // Wakes who accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self, state: &mut State) {
        for stream in state.lines.drain().flat_map(|(_, streams)| streams) {
            reset(&stream);
        }
        self.changed.notify_all();
    }

    fn open(self: &Arc<Self>, client: TcpStream) {
        let (to, refuses) = {
            let state = self.lock();
            (state.to, state.refuses)
        };
        let server = if refuses { None } else { TcpStream::connect(("127.0.0.1", to)).ok() };
        let Some(server) = server else { return reset(&client) };
        let [client, server] = [client, server].map(|stream| {
            let _ = (stream.set_nodelay(true), stream.set_write_timeout(Some(STUCK)));
            Arc::new(stream)
        });
        let mut state = self.lock();
        state.opened += 1;
        let id = state.opened;
        state.lines.insert(id, [client.clone(), server.clone()]);
        drop(state);
        let (asking, answering) = (self.clone(), self.clone());
        let (from, to) = (client.clone(), server.clone());
        std::thread::spawn(move || asking.carry(id, &from, &to, false));
        std::thread::spawn(move || answering.carry(id, &server, &client, true));
    }

    /// Carries bytes one way until one end has gone.
    fn carry(&self, id: u64, mut from: &TcpStream, to: &TcpStream, replies: bool) {
        let mut buffer = [0; 16 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let Some(passes) = self.passing(id, read, replies) else { return };
            if !self.write(id, to, buffer.get(..passes).unwrap_or_default()) || read == 0 {
                break;
            }
            if passes < read {
                return self.reset(&mut self.lock());
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        if replies {
            self.lock().lines.remove(&id);
            let _ = from.shutdown(Shutdown::Both);
        }
    }

    /// How many of these bytes may pass, as soon as any may; `None` if the connection was broken.
    fn passing(&self, id: u64, read: usize, replies: bool) -> Option<usize> {
        let mut state = self.lock();
        while state.holds && state.lines.contains_key(&id) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.lines.contains_key(&id) {
            return None;
        }
        match &mut state.passes {
            Some(left) if replies => {
                let passes = read.min(*left);
                *left -= passes;
                if passes < read {
                    state.passes = None;
                }
                Some(passes)
            }
            _ => Some(read),
        }
    }

    fn write(&self, id: u64, mut to: &TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    if !self.lock().lines.contains_key(&id) {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// Ends a connection with a reset as soon as nobody holds it any more; who waits for it to say something is woken.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Read);
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
