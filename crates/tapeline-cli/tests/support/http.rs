//! Plain HTTP, one connection a request.

use serde_json::Value;

use super::{Hub, Raw};

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    head: super::raw::Head,
    /// As it came.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the answer {} {:?}", self.status(), self.text()))
    }

    /// The status and the error's code, which must come with a message.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
        (self.status(), error["code"].as_str().expect("an error has a code").to_string())
    }
}

impl Hub {
    /// Any request; `more` are further header lines, each ending in `\r\n`.
    pub(crate) fn request(&self, method: &str, path: &str, more: &str, body: impl AsRef<[u8]>) -> Answer {
        request_at(self.address(), method, path, more, body.as_ref())
    }

    /// The same of its admin interface.
    pub(crate) fn admin(&self, method: &str, path: &str, more: &str, body: impl AsRef<[u8]>) -> Answer {
        request_at(self.admin_address(), method, path, more, body.as_ref())
    }

    /// `GET`
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", "")
    }

    /// `POST` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, "Content-Type: application/json\r\n", body)
    }

    /// Publishes this JSON text and answers what the hub said.
    pub(crate) fn publish(&self, channel: &str, data: &str) -> Value {
        let answer = self.post("/publish", format!(r#"{{"channel":"{channel}","data":{data}}}"#));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// Publishes all of these on one channel, in order.
    pub(crate) fn publish_all(&self, channel: &str, data: impl IntoIterator<Item = String>) {
        let all = data.into_iter().map(|data| (channel.to_string(), data));
        self.publish_each(all);
    }

    /// Publishes all of these (channel, data), in order.
    pub(crate) fn publish_each(&self, all: impl IntoIterator<Item = (String, String)>) {
        let mut lines = String::new();
        let flush = |lines: &mut String| {
            let answer =
                self.request("POST", "/publish/batch", "Content-Type: application/x-ndjson\r\n", &*lines);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert!(!answer.text().contains(r#""error""#), "{}", answer.text());
            lines.clear();
        };
        for (channel, data) in all {
            lines.push_str(&format!("{{\"channel\":\"{channel}\",\"data\":{data}}}\n"));
            if lines.len() > 1 << 20 {
                flush(&mut lines);
            }
        }
        if !lines.is_empty() {
            flush(&mut lines);
        }
    }
}

fn request_at(address: &str, method: &str, path: &str, more: &str, body: &[u8]) -> Answer {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    let mut raw = Raw::send_at(address, bytes);
    let head = raw.head();
    let body = match head.header("content-length").and_then(|len| len.parse().ok()) {
        Some(len) => raw.body(len),
        None => raw.rest(),
    };
    Answer { head, body }
}
