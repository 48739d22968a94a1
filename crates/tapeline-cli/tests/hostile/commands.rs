//! Hostile input as words and files of the commands: an answer or a clear error, and nothing on the terminal that acts
//! on it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use tapeline_schema::check_name;

use crate::support::collections::{json_cases, naughty_strings};
use crate::support::{Hub, run_to_end, temporary};

/// What a command said and how it ended. It must have ended by itself, and be harmless to look at.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn run(words: &[&OsStr]) -> Said {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words);
    let (status, out, err) = run_to_end(command);
    let code = status.code().unwrap_or_else(|| panic!("{words:?} ended with {status}: {err}"));
    assert!(!err.contains("panicked"), "{words:?}: {err}");
    let acts = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!err.contains(acts), "{words:?} would act on a terminal: {err:?}");
    Said { code, out, err }
}

fn words<'a>(fixed: &'a [&'a str], hostile: &'a [&'a str]) -> Vec<&'a OsStr> {
    fixed.iter().chain(hostile).map(OsStr::new).collect()
}

#[test]
fn json_on_the_command_line_is_published_or_refused_before_anything_is_sent() {
    let hub = Hub::start();
    let url = format!("http://{}", hub.address());
    for case in json_cases().iter().filter(|case| !case.bytes.contains(&0) && case.bytes != b"-") {
        let data = OsStr::from_bytes(&case.bytes);
        let fixed = ["pub", "--url", &url, "--", "json"];
        let said = run(&fixed.iter().map(OsStr::new).chain([data]).collect::<Vec<_>>());
        match case.expect.as_str() {
            "accept" => assert_eq!(said.code, 0, "{}: {}", case.name, said.err),
            "reject" => assert!(said.code > 0 && !said.err.is_empty(), "{}: {}", case.name, said.out),
            _ => {}
        }
        if let Ok(text) = std::str::from_utf8(&case.bytes)
            && said.code == 1
        {
            assert!(said.err.contains("DATA is not JSON"), "{}: {text:?}: {}", case.name, said.err);
        }
    }
}

#[test]
fn lines_of_json_are_published_up_to_the_first_that_is_none() {
    let hub = Hub::start();
    let url = format!("http://{}", hub.address());
    let cases = json_cases();
    let lines = |expect: &str| -> Vec<&[u8]> {
        let of = cases.iter().filter(|case| case.expect == expect && !case.bytes.trim_ascii().is_empty());
        of.map(|case| &case.bytes[..]).filter(|bytes| !bytes.contains(&b'\n')).collect()
    };
    let (mut input, path) = (lines("accept"), temporary("jsonl"));
    let good = input.len();
    input.extend(lines("reject").first());
    std::fs::write(&path, input.join(&b'\n')).expect("a file");
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command
        .args(["pub", "--url", &url, "lines", "-"])
        .stdin(std::fs::File::open(&path).expect("it was written"));
    let (status, out, err) = run_to_end(command);
    assert_eq!(out.lines().count(), good, "{err}");
    let is_told = err.contains(&format!("line {}", good + 1));
    assert!(status.success() == (input.len() == good) && (is_told || input.len() == good), "{err}");
    let _ = std::fs::remove_file(path);
}

#[test]
fn a_recording_and_a_schema_that_are_no_json_are_told_so_by_file() {
    let hub = Hub::start();
    let url = format!("http://{}", hub.address());
    let (recording, schema, config) = (temporary("rec"), temporary("json"), temporary("toml"));
    let text = format!(
        "[[channel]]\ntemplate = \"h:{{k}}\"\ntype = \"h\"\nschema = {:?}\n",
        schema.display().to_string()
    );
    std::fs::write(&config, text).expect("the configuration can be written");
    // Every third one: each is a process or two.
    for case in json_cases().iter().step_by(3) {
        std::fs::write(&recording, [b"1700000000000000000 ", &case.bytes[..], b"\n"].concat())
            .expect("a file");
        let said =
            run(&words(&["replay", "--speed", "max", "--into", &url], &[&recording.display().to_string()]));
        let is_told = said.err.contains("line ") || said.err.contains("left out");
        let is_nothing = case.bytes.trim_ascii().is_empty();
        assert!(said.code == 0 || is_told, "{}: {}", case.name, said.err);
        assert!(case.expect != "reject" || said.code != 0 || is_nothing, "{}: {}", case.name, said.out);
        std::fs::write(&schema, &case.bytes).expect("a file");
        let said = run(&words(&["config", "check"], &[&config.display().to_string()]));
        if case.expect == "reject" {
            let names_it = said.err.contains("is not JSON") || said.err.contains("cannot be read");
            assert!(said.code != 0 && names_it, "{}: {} {}", case.name, said.out, said.err);
        }
    }
    for path in [recording, schema, config] {
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn naughty_words_are_taken_as_they_are_or_refused_and_never_act_on_a_terminal() {
    let hub = Hub::start();
    let url = format!("http://{}", hub.address());
    for text in naughty_strings().iter().filter(|text| !text.contains('\0')) {
        let is_sound = check_name(text).is_ok();
        let said = run(&words(&["pub", "--url", &url, "--type", "t", "--"], &[text, "7"]));
        assert_eq!(said.code == 0, is_sound, "{text:?}: {}{}", said.out, said.err);
        assert!(is_sound || said.err.contains("channel name"), "{text:?}: {}", said.err);
        // Not after the two dashes: words that begin with one are the program's to refuse.
        run(&words(&["channel", "remove", "--url", &url], &[text]));
        // As a pattern it might wait for ever.
        if is_sound {
            let heard =
                run(&words(&["sub", "--url", &url, "--since", "0", "--count", "1", "--json", "--"], &[text]));
            assert!(heard.out.contains("\"data\":7"), "{text:?}: {}{}", heard.out, heard.err);
        } else if !text.contains(['*', '?', '[', ']', '\\']) {
            let said = run(&words(&["sub", "--url", &url, "--count", "1", "--"], &[text]));
            assert!(said.code == 1 && said.err.contains("channel name"), "{text:?}: {}", said.err);
        }
    }
}

#[test]
fn naughty_templates_and_labels_are_added_or_refused() {
    let hub = Hub::start();
    let url = format!("http://{}", hub.address());
    for text in naughty_strings().iter().filter(|text| !text.contains('\0')).step_by(3) {
        let kind: OsString = format!("--type={text}").into();
        let fixed = ["channel", "add", "--url", &url, "--delivery", "every"];
        let with_kind = fixed.iter().map(OsStr::new).chain([kind.as_os_str(), OsStr::new("naughty:{k}")]);
        run(&with_kind.collect::<Vec<_>>());
        run(&words(&["channel", "remove", "--url", &url, "naughty"], &[]));
        run(&words(&["channel", "add", "--url", &url, "--type", "t", "--"], &[text]));
        let label: OsString = format!("--correlation-id={text}").into();
        let fixed = ["pub", "--url", &url];
        let publish = fixed.iter().map(OsStr::new).chain([label.as_os_str()]);
        let said = run(&publish.chain([OsStr::new("labels"), OsStr::new("7")]).collect::<Vec<_>>());
        let is_long = text.len() > 256;
        assert_eq!(said.code != 0, is_long, "{text:?}: {}", said.err);
    }
}
