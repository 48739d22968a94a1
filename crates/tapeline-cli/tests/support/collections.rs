//! The collections of hostile input, as their files say it. Their READMEs say where they are from and how to judge.

use std::path::PathBuf;

use serde_json::Value;

use super::recordings;

/// A text that may be JSON.
pub(crate) struct JsonCase {
    pub(crate) name: String,
    /// `accept`, `reject` or `either`.
    pub(crate) expect: String,
    pub(crate) bytes: Vec<u8>,
}

/// A request that may be HTTP.
pub(crate) struct RawRequest {
    pub(crate) name: String,
    /// `request` is the strict reading.
    pub(crate) mode: String,
    pub(crate) bytes: Vec<u8>,
    /// What a strict parser says to it, if it is faulty.
    pub(crate) fault: Option<String>,
}

fn lines(folder: &str, file: &str) -> Vec<Value> {
    let Some(text) = read(folder, file) else { return Vec::new() };
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a case")).collect()
}

fn read(folder: &str, file: &str) -> Option<String> {
    let path: PathBuf = recordings(folder)?.join(file);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn text(case: &Value, field: &str) -> String {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {case}")).to_string()
}

/// JSON texts, good and bad.
pub(crate) fn json_cases() -> Vec<JsonCase> {
    let case = |case: &Value| JsonCase {
        name: text(case, "name"),
        expect: text(case, "expect"),
        bytes: from_base64(&text(case, "base64")),
    };
    lines("json-testsuite", "parsing.jsonl").iter().map(case).collect()
}

/// Strings that have broken programs.
pub(crate) fn naughty_strings() -> Vec<String> {
    let Some(text) = read("naughty-strings", "blns.json") else { return Vec::new() };
    serde_json::from_str(&text).expect("it is an array of strings")
}

/// Raw requests, good and bad.
pub(crate) fn raw_requests() -> Vec<RawRequest> {
    let case = |case: &Value| RawRequest {
        name: text(case, "name"),
        mode: text(case, "mode"),
        bytes: from_base64(&text(case, "request_base64")),
        fault: case["llhttp_error"].as_str().map(str::to_string),
    };
    lines("llhttp-http1-requests", "requests.jsonl").iter().map(case).collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).expect("it is base64");
        bits = (bits << 6 | u32::try_from(value).expect("it is below 64")) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("it is a byte"));
        }
    }
    bytes
}
