//! The configuration written out: the effective values with their origins, and the reference page.

use std::fmt::Write;

use serde::Serialize;
use tapeline_auth::api_key::KeySettings;
use tapeline_schema::Family;

use super::table::{ROWS, When};
use super::{Config, Loaded};

/// Valid TOML: every value, with where it comes from as a comment; secrets are masked, and those of which nothing is shown
/// stand in a comment.
pub(crate) fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    let lines: Vec<(String, String)> = ROWS
        .iter()
        .zip(&loaded.origins)
        .map(|(row, origin)| {
            // What is not shown could not be given again.
            let hidden = if row.hides(&loaded.config) { "# " } else { "" };
            (format!("{hidden}{} = {}", row.name, row.show(&loaded.config)), origin.to_string())
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or_default().min(48);
    for (line, origin) in lines {
        let _ = writeln!(text, "{line:<width$}  # {origin}");
    }
    for key in &loaded.config.auth.keys {
        let _ = write!(text, "\n{}", key_toml(key));
    }
    for found in &loaded.config.families {
        let mut family = found.family.clone();
        if let Some(path) = &found.schema_path {
            family.schema = Some(path.as_str().into());
        }
        let _ = write!(text, "\n# line {}\n{}", found.line, family_toml(&family));
    }
    text
}

/// The lines of an API key to paste into the file.
pub(crate) fn key_toml(key: &KeySettings) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        auth: Auth<'a>,
    }
    #[derive(Serialize)]
    struct Auth<'a> {
        key: [&'a KeySettings; 1],
    }
    toml::to_string(&File { auth: Auth { key: [key] } }).unwrap_or_default()
}

/// The lines to paste into the file.
pub(crate) fn family_toml(family: &Family) -> String {
    #[derive(Serialize)]
    struct Families<'a> {
        channel: [&'a Family; 1],
    }
    toml::to_string(&Families { channel: [family] }).unwrap_or_default()
}

const HEAD: &str = "\
<!-- Written by `tapeline config reference`; a test compares. -->

# Configuration

Each setting has one value: that of its flag, else of its variable, else of the file, else the default.
`tapeline config` prints every value and where it comes from, `tapeline config check FILE` reads a file without
starting anything. An unknown key or variable is an error that names what was probably meant.

```toml
# tapeline serve --config tapeline.toml
log = \"info\"

[serve]
listen = [\"127.0.0.1:8000\", \"127.0.0.1:8002\"]

[limits]
subscriptions_per_client = 200

[[channel]]
template = \"fx:{pair}\"
type = \"fx_rate\"
delivery = \"latest\"
rolls_up_to = [\"fx\"]
```

## Settings

The variable of `limits.frame_bytes` is `TAPELINE_LIMITS__FRAME_BYTES`; lists are separated by commas there. `effect` says
when another value counts: at a reload, or when the hub is started again. Times are in seconds, with or without a fraction,
and at most a year; a value that could have no meaning, such as a time-out of 0, is an error that names the bound.

| setting | default | effect | |
|---|---|---|---|
";

const TAIL: &str = "
## Who is let in

`[[auth.key]]` declares an API key; `tapeline token key` makes one and prints the lines to paste. Its keys: `id` and `hash`
are required; `name`; patterns `read`, `publish`, `store_read`, `store_write`; `keys` (values of channels' keys, as
`{ portfolio_id = [\"p1\"] }`); `operator`, `admin`; `expires` (RFC 3339); `addresses` (ranges such as `10.0.0.0/8`). A key
that a reload takes away, or takes rights from, ends the connections that it opened.

`auth = \"off\"` is short for `auth.mode = \"off\"`, and `TAPELINE_AUTH` for `TAPELINE_AUTH__MODE`. Give secrets by variable
(`TAPELINE_AUTH__JWT__SECRET`) or file. `tapeline config check FILE` says what could be stronger.

## Families

A `[[channel]]` adds a family to the built-in ones. Its keys: `template` (`fx:{pair}`, or a bare name) and `type` are
required; `priority` (critical, high, medium, low; default medium), `delivery` (latest, table, every; default every),
`keep = { count, age_s, bytes }`, `row_key` (which fields tell the rows of a table apart), `removed_when = { field, equals }`
(which rows a table loses), `rolls_up_to`, `max_rate`, `idle_ttl_s`, `read`, `publish`, `compress` (auto, never), `schema`
(a JSON Schema that every payload, or every row of a table, must match: a path seen from the file's folder, or an inline
table).

`tapeline channel add 'fx:{pair}' --type fx_rate --delivery latest` adds one to a running hub until it is started
again, and prints the lines to paste into the file. `tapeline channel list` shows all, `tapeline channel remove fx`
takes one away that is not built in.

- A family added or removed starts the channels of its names that were in use anew, under a new epoch: what was kept
  of them is gone. Clients that hear them are closed with 1012 and resume; a gap of reason `epoch` tells them.
- `keep`, `idle_ttl_s`, `max_rate`, `compress`, `schema`, `read` and `publish` of a family can change while its channels are in use
  (`max_rate` counts for new subscriptions).
- Anything else of a family in use is refused: remove it first, or start the hub again.

## Reload

`tapeline config reload`, or SIGHUP, has the hub read its file again. It takes effect as a whole or not at all: a bad
file changes nothing, and its faults are in the answer and in the log. What needs a restart is listed and waits.
Families added live stay; a file that declares one of them too is refused. A hub that was started without `--config` has
no file to read: SIGHUP, which closing its terminal sends, stops it as SIGTERM does, unless it was started with `nohup`.

`POST /admin/reload`, `POST /admin/channels` and `DELETE /admin/channels/{family}` are the same over HTTP. They are open
to this machine alone, and not to web pages. A proxy on this machine makes every request local: close `/admin/` there,
or set `http.admin = false`.
";

/// `docs/configuration.md`.
pub(crate) fn reference() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_string();
    for row in ROWS {
        let (name, shown) = (row.name, row.show(&defaults).replace('|', "\\|"));
        let _ = writeln!(text, "| `{name}` | `{shown}` | {} | {} |", When::words(row.when), row.doc);
    }
    text + TAIL
}
