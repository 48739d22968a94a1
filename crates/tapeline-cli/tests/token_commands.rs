//! Tokens, keys and secrets on the command line, and the settings about them: what is made is taken, what is wrong is said,
//! and no secret is shown.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "commands/program.rs"]
#[expect(dead_code, reason = "each file of tests uses its own part of the support")]
mod program;

use std::path::PathBuf;

use program::{Outcome, run, run_with_input};

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = tapeline_faults::temporary(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    /// A fresh secret in a file.
    fn secret(&self) -> String {
        self.write("secret", &good(&run(&["token", "secret"])))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn good(outcome: &Outcome) -> String {
    assert!(outcome.ok, "{outcome:?}");
    outcome.out.clone()
}

fn bad(outcome: &Outcome) -> String {
    assert!(!outcome.ok, "{outcome:?}");
    outcome.err.clone()
}

#[test]
fn a_minted_token_is_judged_good_by_its_key_and_wrong_by_another() {
    let (folder, other) = (Folder::new("mint"), Folder::new("other"));
    let (secret, another) = (folder.secret(), other.secret());
    let mint = [
        "token",
        "mint",
        "--sub",
        "u1",
        "--ttl",
        "10m",
        "--read",
        "metrics",
        "--key",
        "portfolio_id=p1,p2",
        "--operator",
        "--secret-file",
        &secret,
    ];
    let token = good(&run(&mint));
    let told = good(&run_with_input(&["token", "show", "-", "--secret-file", &secret], &token));
    assert!(
        told.contains("good: u1 may use it for 5") || told.contains("good: u1 may use it for 600"),
        "{told}"
    );
    let claim = r#"{"keys":{"portfolio_id":["p1","p2"]},"operator":true,"read":["metrics"]}"#;
    assert!(told.contains(claim) && told.contains("algorithm  HS256"), "{told}");
    let wrong = bad(&run(&["token", "show", token.trim(), "--secret-file", &another]));
    assert!(wrong.contains("the token's signature is wrong"), "{wrong}");
    assert!(!wrong.contains(token.trim()), "the token is not repeated: {wrong}");
    let unjudged = good(&run(&["token", "show", token.trim()]));
    assert!(unjudged.contains("not judged"), "{unjudged}");
}

#[test]
fn a_pair_of_keys_signs_and_judges_and_is_never_written_over() {
    for algorithm in ["ES256", "EdDSA"] {
        let folder = Folder::new(algorithm);
        let (private, public) = (folder.path("jwt.key"), folder.path("jwt.pub"));
        let make =
            ["token", "keypair", "--alg", algorithm, "--private-key", &private, "--public-key", &public];
        assert!(good(&run(&make)).contains(&format!("algorithms = [\"{algorithm}\"]")));
        assert!(bad(&run(&make)).contains("cannot be made"));
        let mint =
            ["token", "mint", "--sub", "u1", "--private-key", &private, "--alg", algorithm, "--kid", "k1"];
        let token = good(&run(&mint));
        let told = good(&run(&["token", "show", token.trim(), "--public-key", &public]));
        assert!(told.contains("good: u1") && told.contains("key        k1"), "{told}");
    }
}

#[test]
fn a_key_is_printed_once_with_the_lines_that_a_hub_takes_in() {
    let folder = Folder::new("key");
    let made =
        run(&["token", "key", "--name", "feeder", "--publish", "market_data:*", "--address", "10.0.0.0/8"]);
    let out = good(&made);
    let (key, lines) = out.split_once('\n').unwrap();
    assert!(key.starts_with("tk_") && key.len() > 50, "{out}");
    assert!(!lines.contains(key.rsplit_once('_').unwrap().1), "only its digest is kept: {lines}");
    let file = folder.write("hub.toml", &format!("[serve]\nlisten = [\"0.0.0.0:8000\"]\n{lines}"));
    let checked = good(&run(&["config", "check", &file]));
    assert_eq!(checked.lines().count(), 1, "{checked}");
    let shown = good(&run(&["config", "--config", &file]));
    assert!(
        shown.contains("name = \"feeder\"") && shown.contains("publish = [\"market_data:*\"]"),
        "{shown}"
    );
    let again = folder.write("again.toml", &shown);
    assert_eq!(good(&run(&["config", "check", &again])).lines().count(), 1);
}

#[test]
fn what_could_not_be_used_is_not_made() {
    let folder = Folder::new("unmade");
    let secret = folder.secret();
    let short = folder.write("short", "hunter2");
    let cases: [(&[&str], &str); 7] = [
        (&["mint", "--sub", "u1", "--read", "", "--secret-file", &secret], "pattern is empty"),
        (&["mint", "--sub", "u1", "--key", "p1", "--secret-file", &secret], "--key is NAME=VALUE"),
        (&["mint", "--sub", "u1", "--secret-file", &short], "is 7 bytes, the least is 32"),
        (&["mint", "--sub", "u1"], "there is nothing to sign with"),
        (&["mint", "--sub", "u1", "--private-key", &short], "BEGIN PRIVATE KEY"),
        (&["key", "--name", "x", "--expires", "tomorrow"], "which is no time"),
        (&["key", "--name", "x", "--address", "here"], "no address and no network"),
    ];
    for (words, expected) in cases {
        let told = bad(&run(&[&["token"], words].concat()));
        assert!(told.contains(expected) && !told.contains("hunter2"), "{told}");
    }
    let told = bad(&run(&["token", "show", "tk_12345678_secret"]));
    assert!(told.contains("this is an API key") && !told.contains("secret"), "{told}");
}

fn config(words: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.arg("config").args(words).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_secret_is_taken_from_a_variable_and_never_shown() {
    let secret = good(&run(&["token", "secret"]));
    let secret = secret.trim();
    let (is_good, shown) = config(&[], &[("TAPELINE_AUTH__JWT__SECRET", secret), ("TAPELINE_AUTH", "on")]);
    assert!(is_good && !shown.contains(secret), "{shown}");
    assert!(shown.contains("# auth.jwt.secret = \"***\"") && shown.contains("auth.mode = \"on\""), "{shown}");
    let (is_good, told) = config(&[], &[("TAPELINE_AUTH__JWT__SECRET", "hunter2-hunter2")]);
    assert!(!is_good && told.contains("is 15 bytes") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_file_about_authentication_is_checked_as_a_whole() {
    let folder = Folder::new("check");
    let check = |text: &str| config(&["check", &folder.write("hub.toml", text)], &[]);
    let (is_good, told) = check("auth = \"off\"\n[serve]\nlisten = [\"0.0.0.0:8000\"]\n");
    assert!(is_good && told.contains("auth is off"), "{told}");
    let secret = folder.secret();
    let (is_good, told) = check(&format!("auth.jwt.secret_file = {secret:?}\n"));
    assert!(is_good && told.contains("chmod 600") && told.contains("auth.jwt.audience is empty"), "{told}");
    let refused = [
        ("auth = \"of\"", "auth.mode: expected \"auto\", \"on\" or \"off\""),
        ("auth = true", "expected a section [auth]"),
        ("[auth]\nmodes = \"on\"", "auth.modes: unknown key; did you mean auth.mode?"),
        ("[auth.jwt]\nalgorithms = [\"none\"]", "a list of algorithms"),
        ("[auth.jwt]\nalgorithms = []", "at least one algorithm"),
        ("[auth.jwt]\njwks_url = \"http://issuer.example/\"", "http:// is for this machine alone"),
        ("[auth.jwt]\nsecret_file = \"no/such/file\"", "cannot be read"),
        ("[auth.jwt]\nsecret = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "hardly any different characters"),
        ("[auth]\nleeway_s = 301", "expected 0 to 300"),
        ("[auth]\nmode = \"on\"", "nobody could be let in"),
        ("[serve]\nlisten = [\"0.0.0.0:8000\"]", "reachable from elsewhere"),
        ("\n[[auth.key]]\nid = \"feeder-1\"\n", "hub.toml:2:1: [[auth.key]] missing field `hash`"),
        ("[[auth.key]]\nid = \"feeder-1\"\nhash = \"md5:0\"", "needs hash"),
    ];
    for (text, expected) in refused {
        let (is_good, told) = check(text);
        assert!(!is_good && told.contains(expected), "{text}: {told}");
    }
}
