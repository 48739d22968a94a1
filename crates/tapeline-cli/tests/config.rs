//! The configuration as a whole: which value wins and where it comes from, what is refused and how that is said, and
//! what a reload does to a hub with clients.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "commands/program.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "a test may fail loudly, and uses its own part of the support"
)]
mod program;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use program::Program;
use serde_json::json;
use support::{Client, Hub, Raw, eventually, run_to_end};

/// A file that is removed when the test ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = support::temporary(&format!("{name}.toml"));
        std::fs::write(&path, text).expect("the file can be written");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tapeline(words: &[&str]) -> Command {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words);
    command
}

fn line<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("{name} = ");
    let line =
        text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.split("  # ").map(str::trim).collect()
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default_and_each_is_named() {
    let text = "log = \"warn\"\n[serve]\nshards = 5\n\n[limits]\nbatch_items = 5\nframe_bytes = 5\n";
    let file = File::new("layers", text);
    let mut command = tapeline(&["config", "--config", file.path(), "--shards", "7"]);
    command.env("TAPELINE_SERVE__SHARDS", "6").env("TAPELINE_LIMITS__BATCH_ITEMS", "6");
    let (status, out, err) = run_to_end(command);
    assert!(status.success(), "{err}");
    assert_eq!(line(&out, "serve.shards"), ["serve.shards = 7", "--shards"]);
    assert_eq!(line(&out, "limits.batch_items"), ["limits.batch_items = 6", "TAPELINE_LIMITS__BATCH_ITEMS"]);
    let of_file = format!("{}:7", file.path());
    assert_eq!(line(&out, "limits.frame_bytes"), ["limits.frame_bytes = 5", of_file.as_str()]);
    assert_eq!(line(&out, "limits.batch_bytes"), ["limits.batch_bytes = 16777216", "default"]);
}

#[test]
fn a_flag_about_the_demo_is_taken_where_the_file_switches_the_demo_on() {
    let file = File::new("demo-seed", "[serve]\ndemo = true\n");
    let words = ["config", "--config", file.path(), "--demo-seed", "9"];
    let (status, out, err) = run_to_end(tapeline(&words));
    assert!(status.success(), "{err}");
    assert_eq!(line(&out, "serve.demo_seed"), ["serve.demo_seed = 9", "--demo-seed"]);
}

#[test]
fn what_is_shown_is_a_file_that_means_the_same() {
    let text =
        "[serve]\ndemo = true\n[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"fx\"\nkeep = { count = 9 }\n";
    let file = File::new("shown", text);
    let (_, first, _) = run_to_end(tapeline(&["config", "--config", file.path()]));
    let again = File::new("again", &first);
    let (status, second, err) = run_to_end(tapeline(&["config", "--config", again.path()]));
    assert!(status.success(), "{err}\n{first}");
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split("  # ").next().unwrap_or_default().trim().to_string()).collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn a_password_in_the_brokers_url_is_never_shown() {
    let urls = [
        ("kafka://bob:hunter2@kafka.local:9092/0", "serve.broker: no message broker for kafka://"),
        ("redis://bob:hunter2@redis.local:none/0", "serve.broker: "),
    ];
    for (url, told) in urls {
        let file = File::new("secret", &format!("[serve]\nbroker = \"{url}\"\n"));
        for words in [&["config", "check", file.path()], &["serve", "--config", file.path()]] {
            let (status, out, err) = run_to_end(tapeline(words));
            assert_eq!(status.code(), Some(1), "{url}: {out}{err}");
            assert!(err.contains(told), "{err}");
            assert!(!format!("{out}{err}").contains("hunter2"), "{err}");
        }
    }
}

#[test]
fn a_check_tells_every_fault_with_its_place_and_what_was_probably_meant() {
    let text = "[limits]\nframe_byts = 1\nbatch_items = \"many\"\n[limitz]\nx = 1\n";
    let file = File::new("faults", text);
    let (status, _, err) = run_to_end(tapeline(&["config", "check", file.path()]));
    assert_eq!(status.code(), Some(1));
    let expected = [
        ":2:1: limits.frame_byts: unknown key; did you mean limits.frame_bytes?",
        ":3:1: limits.batch_items: expected a whole number",
        ":4:2: limitz: unknown key; did you mean limits?",
    ];
    for expected in expected {
        assert!(err.contains(&format!("{}{expected}", file.path())), "{expected} in {err}");
    }
    let broken = File::new("broken", "[limits]\nframe_bytes = = 1\n");
    let (status, _, err) = run_to_end(tapeline(&["config", "check", broken.path()]));
    assert_eq!(status.code(), Some(1));
    assert!(err.contains(&format!("{}:2:", broken.path())), "{err}");
}

#[test]
fn a_value_without_meaning_is_a_fault_that_names_the_setting_and_the_bound() {
    let cases = [
        ("serve.listen = []", "expected at least one address, found none"),
        ("serve.shards = 100000", "expected 1 to 1024, found 100000"),
        ("http.allowed_origins = [\"https://desk.example/\"]", "\"https://desk.example/\" is no origin"),
        ("limits.handshake_timeout_s = 0", "expected at least 0.001 seconds, found 0"),
        ("limits.body_timeout_s = 0", "expected at least 0.001 seconds, found 0"),
        ("limits.slow_close_s = 0", "expected at least 0.001 seconds, found 0"),
        ("limits.heartbeat_s = 0", "expected at least 0.001 seconds, found 0"),
        ("limits.outbox_bytes = 0", "expected at least 1, found 0"),
        ("limits.connections = 0", "expected at least 1, found 0"),
        ("socketio.everybody = [\"news\", \"no name\"]", "\"no name\": "),
        ("socketio.events = { news = \"gap\" }", "\"gap\" is a name under which the hub speaks itself"),
        ("limits.publish_bytes = 5000000000", "expected 1 to 1073741824, found 5000000000"),
        ("limits.batch_bytes = 9223372036854775807", "expected a whole number up to 1099511627776"),
        ("limits.unsubscribed_grace_s = 9223372036854775807", "from 0 to 31536000 (a year)"),
        ("drain.flush_s = 1e19", "from 0 to 31536000 (a year), found 10000000000000000000"),
        ("drain.window_s = -1", "from 0 to 31536000 (a year), found -1"),
    ];
    let text: String = cases.iter().map(|(line, _)| format!("{line}\n")).collect();
    let file = File::new("meaning", &text);
    let (status, _, err) = run_to_end(tapeline(&["config", "check", file.path()]));
    assert_eq!(status.code(), Some(1));
    for (number, (line, expected)) in cases.into_iter().enumerate() {
        let (name, _) = line.split_once(" = ").expect("a setting");
        let start = format!("{}:{}:", file.path(), number + 1);
        let told =
            err.lines().find(|line| line.contains(&start)).unwrap_or_else(|| panic!("{line} in {err}"));
        assert!(told.contains(&format!("{name}: ")) && told.contains(expected), "{expected} in {told}");
    }
    let never = File::new("never", "limits.idle_timeout_s = 0\ndrain.window_s = 0\n");
    let (status, _, err) = run_to_end(tapeline(&["config", "check", never.path()]));
    assert!(status.success(), "these have a meaning: {err}");
}

#[test]
fn a_variable_without_meaning_stops_the_start_and_a_file_without_meaning_changes_nothing() {
    let mut command = tapeline(&["serve"]);
    command.env("TAPELINE_SERVE__LISTEN", "");
    let (status, _, err) = run_to_end(command);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("TAPELINE_SERVE__LISTEN: serve.listen: expected at least one address"), "{err}");
    let hub = Hub::with_config("");
    hub.rewrite("[limits]\nslow_close_s = 0\n");
    let (status, _, err) = hub.run(&["config", "reload"]);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains(":2:1: limits.slow_close_s: expected at least 0.001 seconds, found 0"), "{err}");
}

#[test]
fn a_check_reads_families_as_the_hub_does() {
    let cases = [
        (
            "template = \"market_data:{x}\"\ntype = \"t\"",
            ":1: [[channel]] market_data:{x}: family market_data is declared",
        ),
        ("template = \"fx:{pair}\"\ntype = \"t\"\ndelivery = \"table\"", "delivery table needs a row_key"),
        ("template = \"fx:{pair}\"\ntype = \"t\"\nprority = \"low\"", "unknown field `prority`"),
        ("template = \"fx:{pair}\"", "missing field `type`"),
    ];
    for (number, (family, expected)) in cases.into_iter().enumerate() {
        let file = File::new(&format!("family-{number}"), &format!("[[channel]]\n{family}\n"));
        let (status, _, err) = run_to_end(tapeline(&["config", "check", file.path()]));
        assert_eq!(status.code(), Some(1), "{family}");
        assert!(err.contains(expected) && err.contains(file.path()), "{expected} in {err}");
    }
    let good = File::new("good", "[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"t\"\n");
    let (status, out, err) = run_to_end(tapeline(&["config", "check", good.path()]));
    assert!(status.success() && out.contains("good, 1 family"), "{out}{err}");
}

#[test]
fn a_variable_that_no_setting_has_stops_the_start() {
    let mut command = support::serve("127.0.0.1:0");
    command.env("TAPELINE_LIMITS__HEARTBEATS", "1");
    let (status, _, err) = run_to_end(command);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("TAPELINE_LIMITS__HEARTBEATS: no setting is called so"), "{err}");
}

#[test]
fn a_file_alone_can_say_how_to_serve() {
    let text = "log = \"off\"\n[serve]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nshards = 1\n";
    let file = File::new("serve", text);
    let mut hub = Program::start(&["serve", "--config", file.path()]);
    for _ in 0..2 {
        assert!(hub.line().starts_with("listening on http://127.0.0.1:"));
    }
}

#[test]
fn a_reload_takes_a_limit_and_a_family_to_clients_that_stay_connected() {
    let hub = Hub::with_config("[limits]\nsubscriptions_per_connection = 1\n");
    let mut client = Client::connect(&hub);
    client.subscribe("market_data:AAPL");
    let over = client.ask(&json!({"action": "subscribe", "channel": "market_data:TSLA", "req": 1}));
    assert_eq!(over.json["code"], "limit_subscriptions", "{}", over.text);
    let family = "[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"fx_rate\"\ndelivery = \"latest\"\n";
    hub.rewrite(&format!("[limits]\nsubscriptions_per_connection = 3\ninbox_messages = 99\n{family}"));
    let (status, out, err) = hub.run(&["config", "reload"]);
    assert!(status.success(), "{err}");
    for expected in [
        "limits.subscriptions_per_connection is now 3, was 1",
        "family fx was added",
        "limits.inbox_messages stays 8192 until the hub is started again; the new value is 99",
    ] {
        assert!(out.contains(expected), "{expected} in {out}");
    }
    client.subscribe("market_data:TSLA");
    let declared = client.ask(&json!({"action": "subscribe", "channel": "fx:EURUSD", "req": 2}));
    assert_eq!((declared.kind(), &declared.json["declared"]), ("subscription_confirmed", &json!(true)));
    hub.publish("fx:EURUSD", "{\"price\":1}");
    assert_eq!(client.message(1).kind(), "fx_rate");
    let (_, out, _) = hub.run(&["config", "reload"]);
    assert!(out.starts_with("nothing has changed") && out.contains("limits.inbox_messages stays"), "{out}");
}

#[test]
fn a_name_that_became_undeclared_under_way_can_be_left() {
    let hub = Hub::with_config("");
    let mut client = Client::connect(&hub);
    client.subscribe("my.own");
    hub.rewrite("strict_channels = true\n");
    assert!(hub.run(&["config", "reload"]).0.success());
    let left = client.ask(&json!({"action": "unsubscribe", "channel": "my.own", "req": 1}));
    assert_eq!(left.kind(), "unsubscription_confirmed", "{}", left.text);
    assert_eq!(client.ask(&json!({"action": "list", "req": 2})).json["channels"], json!([]));
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_by_the_command() {
    let hub = Hub::with_config("[limits]\nsubscriptions_per_connection = 1\n");
    hub.rewrite("[limits]\nsubscriptions_per_connection = 9\nframe_byts = 1\n");
    let (status, _, err) = hub.run(&["config", "reload"]);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains(":3:1: limits.frame_byts: unknown key; did you mean limits.frame_bytes?"), "{err}");
    let mut client = Client::connect(&hub);
    client.subscribe("market_data:AAPL");
    let over = client.ask(&json!({"action": "subscribe", "channel": "market_data:TSLA", "req": 1}));
    assert_eq!(over.json["code"], "limit_subscriptions", "the good half of a bad file was taken");
}

#[test]
fn a_hang_up_reloads_and_a_bad_file_is_in_the_log_and_changes_nothing() {
    let file = File::new("hang-up", "log = \"info\"\n[limits]\nbatch_items = 5\n");
    let mut hub = Program::start(&["serve", "--listen", "127.0.0.1:0", "--config", file.path()]);
    hub.line();
    std::fs::write(&file.0, "log = \"info\"\n[limits]\nbatch_items = 6\n").expect("the file can be written");
    let id = hub.id().to_string();
    let (status, out, err) = run_to_end(tapeline(&["config", "reload", "--pid", &id]));
    assert!(status.success() && out.contains("was told"), "{out}{err}");
    hub.err_line_with("limits.batch_items is now 6, was 5");
    std::fs::write(&file.0, "[limits]\nbatch_items = -1\n").expect("the file can be written");
    run_to_end(tapeline(&["config", "reload", "--pid", &id]));
    hub.err_line_with("nothing has changed");
    std::fs::write(&file.0, "log = \"info\"\n[limits]\nbatch_items = 7\n").expect("the file can be written");
    run_to_end(tapeline(&["config", "reload", "--pid", &id]));
    hub.err_line_with("limits.batch_items is now 7, was 6");
}

#[test]
fn of_two_reloads_at_once_the_later_one_reads_the_file_when_the_first_is_done() {
    let file = File::new("at-once", "[limits]\nbatch_items = 5\n");
    let mut hub = Program::start(&["serve", "--listen", "127.0.0.1:0", "--config", file.path()]);
    let url = hub.line().trim_start_matches("listening on ").to_string();
    // A pipe is a file that can be held while it is read.
    std::fs::remove_file(&file.0).expect("the file can be removed");
    assert!(Command::new("mkfifo").arg(&file.0).status().expect("mkfifo runs").success());
    let open = || OpenOptions::new().read(true).write(true).open(&file.0).expect("the pipe opens");
    let opened = |process: u32, what: &str| -> usize {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs");
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with(what)).count()
    };
    let reload = || {
        let mut command = tapeline(&["config", "reload", "--url", &url]);
        command.stdout(Stdio::piped()).spawn().expect("the command starts")
    };
    let said = |reload: Child| String::from_utf8(reload.wait_with_output().expect("it ends").stdout);
    let mut pipe = open();
    let first = reload();
    let id = hub.id().unsigned_abs();
    assert!(eventually(|| opened(id, file.path()) == 1), "the first does not read");
    let second = reload();
    assert!(eventually(|| opened(second.id(), "socket:") == 1), "the second does not ask");
    for _ in 0..10 {
        assert!(run_to_end(tapeline(&["channel", "list", "--url", &url])).0.success());
    }
    pipe.write_all(b"[limits]\nbatch_items = 6\n").expect("the pipe takes it");
    drop(pipe);
    assert_eq!(said(first).as_deref(), Ok("limits.batch_items is now 6, was 5\n"));
    let mut pipe = open();
    pipe.write_all(b"[limits]\nbatch_items = 7\n").expect("the pipe takes it");
    assert!(eventually(|| opened(id, file.path()) == 1), "the second does not read");
    drop(pipe);
    assert_eq!(said(second).as_deref(), Ok("limits.batch_items is now 7, was 6\n"));
}

#[test]
fn allowed_origins_follow_a_reload() {
    let hub = Hub::with_config("[http]\nallowed_origins = []\n");
    let status = || hub.request("GET", "/stats", "Origin: https://desk.example\r\n", "").status();
    assert_eq!(status(), 403);
    hub.rewrite("[http]\nallowed_origins = [\"https://desk.example\"]\n");
    hub.hang_up();
    assert!(eventually(|| status() == 200), "the origin was not let in");
}

#[test]
fn a_web_page_a_proxy_and_another_name_are_kept_off_the_administration() {
    let hub = Hub::with_config("");
    let ask = |more: &str| hub.request("POST", "/admin/reload", more, "");
    assert_eq!(ask("").status(), 200);
    for header in ["Origin: http://127.0.0.1:3000", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"] {
        assert_eq!(ask(&format!("{header}\r\n")).refusal(), (403, "forbidden".to_string()), "{header}");
    }
    hub.rewrite("[http]\nadmin = false\n");
    assert_eq!(ask("").status(), 200);
    assert_eq!(ask("").refusal(), (403, "forbidden".to_string()), "it switched itself off");
    hub.rewrite("");
    hub.hang_up();
    assert!(eventually(|| ask("").status() == 200), "a signal opens it again");
}

#[test]
fn no_route_of_the_administration_is_open_to_a_page_a_proxy_or_another_name() {
    // The name and the page may come in otherwise, so that nothing but the administration itself refuses them.
    let http = "[http]\nallowed_origins = [\"http://evil.example:8000\"]\n";
    let family = |name: &str| format!("[[channel]]\ntemplate = \"{name}:{{x}}\"\ntype = \"t\"\n");
    let hub = Hub::with_config(&format!("{http}{}", family("fills")));
    hub.rewrite(&format!("{http}{}{}", family("fills"), family("reloaded")));
    let before = hub.get("/channels").json();
    let row = r#"{"template":"added:{x}","type":"t"}"#;
    let ask = |(method, path, body): (&str, &str, &str), host: &str, more: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}");
        let len = body.len();
        let mut raw = Raw::send_to(&hub, format!("{head}Content-Length: {len}\r\n\r\n{body}"));
        let head = raw.head();
        let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
        (head.status, String::from_utf8_lossy(&raw.body(len)).into_owned())
    };
    let routes = [
        ("POST", "/admin/reload", ""),
        ("POST", "/admin/channels", row),
        ("DELETE", "/admin/channels/fills", ""),
    ];
    let own = hub.address();
    let strangers = [
        ("evil.example:8000", ""),
        ("127.0.0.1.evil.example", ""),
        (own, "Origin: http://evil.example:8000\r\n"),
        (own, "Origin: http://127.0.0.1:3000\r\n"),
        (own, "X-Forwarded-For: 10.0.0.1\r\n"),
        (own, "X-Real-IP: 10.0.0.1\r\n"),
        (own, "Forwarded: for=10.0.0.1\r\n"),
        (own, "Via: 1.1 proxy\r\n"),
    ];
    for route in routes {
        for (host, more) in strangers {
            let (status, told) = ask(route, host, more);
            assert_eq!(status, 403, "{route:?} as {host} with {more:?}: {told}");
        }
    }
    assert_eq!(hub.get("/channels").json(), before);
    for route in routes {
        assert_eq!(ask(route, own, "").0, 200, "{route:?} is open to this machine");
    }
    assert_ne!(hub.get("/channels").json(), before);
}

#[test]
fn a_hub_without_a_file_says_that_there_is_nothing_to_read() {
    let hub = Hub::start();
    let (status, _, err) = hub.run(&["config", "reload"]);
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("the hub was started without --config"), "{err}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, _) = run_to_end(tapeline(&["completions", shell]));
        assert!(status.success() && out.contains("channel") && out.contains("reload"), "{shell}");
    }
}
