//! A client that sends words and shows the bytes of each reply, as they came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::PATIENCE;

pub(crate) struct Talker {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Talker {
    pub(crate) fn to(address: &str) -> Talker {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Talker { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send<T: AsRef<[u8]>>(&mut self, words: &[T]) {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.write(&bytes);
    }

    /// The next reply or push, its bytes escaped.
    pub(crate) fn hear(&mut self) -> String {
        self.try_hear().expect("the connection stands")
    }

    /// The same, or nothing where the connection has ended.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        self.one(&mut bytes)?;
        Some(bytes.escape_ascii().to_string().replace("\\'", "'"))
    }

    pub(crate) fn ask<T: AsRef<[u8]>>(&mut self, words: &[T]) -> String {
        self.send(words);
        self.hear()
    }

    /// Words of a line, split at spaces.
    pub(crate) fn say(&mut self, line: &str) -> String {
        self.ask(&words(line))
    }

    /// That nothing comes for a moment.
    pub(crate) fn assert_silent(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut byte = [0];
        let heard = self.reader.read(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(heard.is_err(), "it heard {heard:?} {byte:?}");
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    fn one(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        if self.reader.read_until(b'\n', out).unwrap() == 0 {
            return None;
        }
        let line = out[start..].to_vec();
        let length = || std::str::from_utf8(&line[1..]).unwrap().trim().parse::<i64>().unwrap();
        match line[0] {
            b'$' | b'=' if length() >= 0 => {
                let end = out.len();
                out.resize(end + usize::try_from(length()).unwrap() + 2, 0);
                self.reader.read_exact(&mut out[end..]).unwrap();
            }
            b'*' | b'>' | b'~' => (0..length()).for_each(|_| self.one(out).unwrap()),
            b'%' => (0..2 * length()).for_each(|_| self.one(out).unwrap()),
            _ => {}
        }
        Some(())
    }
}

pub(crate) fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_string).collect()
}
