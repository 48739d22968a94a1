//! A TCP relay with an address that stays: what is behind it can be cut off, killed and replaced.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct State {
    /// Where connections go; without it they are cut.
    target: Option<String>,
    open: Vec<TcpStream>,
    is_over: bool,
}

/// See the module.
pub(crate) struct Relay {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    pub url: String,
}

impl Relay {
    pub(crate) fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { target: Some(target.to_string()), ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || accept(&listener, &shared));
        Relay { state, address, url: format!("http://{address}") }
    }

    /// Cuts all connections, and new ones at once.
    pub(crate) fn refuse(&self) {
        let mut state = self.state.lock().unwrap();
        state.target = None;
        for stream in state.open.drain(..) {
            // The other side may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn forward_to(&self, target: &str) {
        self.state.lock().unwrap().target = Some(target.to_string());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.refuse();
        self.state.lock().unwrap().is_over = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Mutex<State>) {
    for client in listener.incoming().map_while(Result::ok) {
        let mut state = state.lock().unwrap();
        if state.is_over {
            return;
        }
        let Some(server) = state.target.as_ref().and_then(|target| TcpStream::connect(target).ok()) else {
            continue;
        };
        pump(&client, &server);
        pump(&server, &client);
        state.open.extend([client, server]);
    }
}

fn pump(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        // A cut ends both directions.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
