//! A TCP relay that cuts connections: each after a number of bytes from the hub that a seed decides, so many times.
//! What it has read and not passed on is lost, as with a real loss.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
pub(crate) struct Cutter {
    pub(crate) url: String,
    cuts: Arc<AtomicU32>,
}

impl Cutter {
    /// Relays to `target`; the first `most` connections are cut.
    pub(crate) fn start(target: &str, most: u32, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (cuts, target) = (Arc::new(AtomicU32::new(0)), target.to_string());
        let counted = cuts.clone();
        std::thread::spawn(move || {
            let mut random = seed;
            for (n, client) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Past the handshake and within a few messages.
                let bytes = if n < most { 200 + (random >> 40) % 20_000 } else { u64::MAX };
                relay(client, server, bytes, counted.clone());
            }
        });
        Cutter { url, cuts }
    }

    pub(crate) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn relay(client: TcpStream, server: TcpStream, bytes: u64, cuts: Arc<AtomicU32>) {
    let (mut up, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut up_to);
        let _ = up_to.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let (mut from, mut to) = (server, client);
        let mut left = bytes;
        let mut chunk = [0; 1_024];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            let passed = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            if to.write_all(&chunk[..passed]).is_err() {
                break;
            }
            left = left.saturating_sub(read as u64);
            if left == 0 {
                cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
        // A cut ends both directions.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
