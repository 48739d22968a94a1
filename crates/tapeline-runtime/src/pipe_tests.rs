//! Tests of a pipe behind TLS against rustls' own client, over a real socket.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use socket2::SockRef;

use super::*;

/// Less than what the tests write at once.
const SMALL: usize = 8 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

type Client = StreamOwned<ClientConnection, std::net::TcpStream>;

/// Both ends of a connection whose handshake is over, with small buffers between them.
fn connected() -> (Pipe, Client) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let (certificate, key) = (signed.cert.der().clone(), signed.signing_key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into())).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();

    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    SockRef::from(&far).set_send_buffer_size(SMALL).unwrap();
    SockRef::from(&near).set_recv_buffer_size(SMALL).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let shaking = std::thread::spawn(move || {
        while server.is_handshaking() {
            server.complete_io(&mut far).unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut far).unwrap();
        }
        (server, far)
    });
    while client.is_handshaking() {
        client.complete_io(&mut near).unwrap();
    }
    let (server, far) = shaking.join().unwrap();
    far.set_nonblocking(true).unwrap();
    (Pipe::new(TcpStream::from_std(far), Some(Box::new(server))), StreamOwned::new(client, near))
}

/// Numbered bytes, so that a repeated or missing one is seen.
fn numbered(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(len).collect()
}

/// Offers everything until all is counted as written, as an outbox does: from where it was left.
fn write_all(pipe: &mut Pipe, slices: &[&[u8]]) {
    let (mut left, end) = (0, Instant::now() + PATIENCE);
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    while left < total {
        let mut passed = left;
        let rest: Vec<IoSlice<'_>> = slices
            .iter()
            .map(|slice| {
                let rest = slice.get(passed..).unwrap_or_default();
                passed = passed.saturating_sub(slice.len());
                IoSlice::new(rest)
            })
            .filter(|slice| !slice.is_empty())
            .collect();
        match pipe.write(&rest) {
            Written::Bytes(n) => left += n,
            Written::Blocked => {
                assert!(Instant::now() < end, "nobody reads");
                std::thread::yield_now();
            }
            Written::Closed => panic!("the client is gone"),
        }
    }
}

fn hear(pipe: &mut Pipe, len: usize) -> Vec<u8> {
    let (mut heard, mut buffer, end) = (Vec::new(), vec![0; 10_000], Instant::now() + PATIENCE);
    while heard.len() < len {
        assert!(Instant::now() < end, "{} of {len} bytes came", heard.len());
        match pipe.read(&mut buffer) {
            Heard::All(n) | Heard::Some(n) => heard.extend_from_slice(&buffer[..n]),
            Heard::End => panic!("the client is gone after {} bytes", heard.len()),
        }
    }
    heard
}

#[test]
fn what_is_written_in_many_pieces_arrives_whole_and_once_however_slowly_it_is_read() {
    let (mut pipe, mut client) = connected();
    let all = numbered(100_001);
    let pieces: Vec<&[u8]> = all.chunks(977).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| write_all(&mut pipe, &pieces));
        let mut heard = vec![0; all.len()];
        for part in heard.chunks_mut(1_500) {
            client.read_exact(part).unwrap();
        }
        assert!(heard == all, "the bytes are others");
    });
}

#[test]
fn a_full_socket_leaves_one_record_in_tls_at_most_and_the_frame_unsent() {
    let (mut pipe, mut client) = connected();
    let frame = numbered(1_000);
    let mut counted = 0;
    // Until the socket is full. A frame of which all is encrypted is not counted whole before it has left.
    let left = loop {
        match pipe.write(&[IoSlice::new(&frame)]) {
            Written::Bytes(1_000) => counted += 1_000,
            Written::Bytes(n) => break n,
            other => panic!("{other:?} of a frame that was not offered before"),
        }
    };
    assert_eq!(left, 999, "its last byte is withheld");
    assert_eq!(pipe.write(&[IoSlice::new(&frame[999..])]), Written::Blocked);
    let large = numbered(1 << 20);
    let before = counted + 1_000;
    let reader = std::thread::spawn(move || {
        let mut heard = vec![0; before + (1 << 20)];
        client.read_exact(&mut heard).unwrap();
        (heard, client)
    });
    write_all(&mut pipe, &[&frame[999..], &large]);
    let (heard, _client) = reader.join().unwrap();
    assert!(heard[before..] == large, "what was offered twice came twice, or not at all");
}

#[test]
fn what_the_client_says_is_heard_whole_and_control_records_are_answered() {
    let (mut pipe, mut client) = connected();
    let all = numbered(200_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, part) in all.chunks(7_001).enumerate() {
                client.write_all(part).unwrap();
                if number % 5 == 0 {
                    client.conn.refresh_traffic_keys().unwrap();
                }
            }
            client.flush().unwrap();
        });
        assert!(hear(&mut pipe, all.len()) == all, "the bytes are others");
    });
    // The answer to the key update came on its own; data under the new keys follows it.
    write_all(&mut pipe, &[b"still here"]);
    let mut told = [0; 10];
    client.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"still here");
    assert_eq!(pipe.read(&mut [0; 16]), Heard::All(0));
}

#[test]
fn both_ends_say_when_they_say_nothing_more() {
    let (mut pipe, mut client) = connected();
    write_all(&mut pipe, &[b"last words"]);
    pipe.close_write().unwrap();
    let mut told = String::new();
    // Without a close_notify this would be an error.
    client.read_to_string(&mut told).unwrap();
    assert_eq!(told, "last words");
    client.write_all(b"bye").unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(hear(&mut pipe, 3), b"bye");
    let end = Instant::now() + PATIENCE;
    while pipe.read(&mut [0; 16]) != Heard::End {
        assert!(Instant::now() < end, "the end was not heard");
    }
}

#[test]
fn what_is_no_record_ends_the_connection() {
    let (mut pipe, client) = connected();
    let mut socket = &client.sock;
    socket.write_all(&[0x17, 3, 3, 0, 20]).unwrap();
    socket.write_all(&[9; 20]).unwrap();
    let end = Instant::now() + PATIENCE;
    while pipe.read(&mut [0; 16]) != Heard::End {
        assert!(Instant::now() < end, "a forged record was taken");
    }
}

/// Everything that is heard before the end.
fn hear_to_the_end(pipe: &mut Pipe, buffer: &mut [u8]) -> Vec<u8> {
    let (mut heard, end) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        assert!(Instant::now() < end, "the end was not heard");
        match pipe.read(buffer) {
            Heard::All(n) | Heard::Some(n) => heard.extend_from_slice(&buffer[..n]),
            Heard::End => return heard,
        }
    }
}

#[test]
fn what_came_before_a_reset_or_a_forged_record_is_heard_first() {
    for room in [7, 10_000] {
        let (mut pipe, mut client) = connected();
        // What has not left would be thrown away with the connection.
        client.sock.set_nodelay(true).unwrap();
        for frame in ["one, ", "two, ", "three"] {
            client.write_all(frame.as_bytes()).unwrap();
        }
        SockRef::from(&client.sock).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(hear_to_the_end(&mut pipe, &mut vec![0; room]), b"one, two, three", "before a reset");

        let (mut pipe, mut client) = connected();
        client.write_all(b"one, ").unwrap();
        client.write_all(b"two").unwrap();
        let mut socket = &client.sock;
        socket.write_all(&[0x17, 3, 3, 0, 20]).unwrap();
        socket.write_all(&[9; 20]).unwrap();
        assert_eq!(hear_to_the_end(&mut pipe, &mut vec![0; room]), b"one, two", "before a forged record");
    }
}
