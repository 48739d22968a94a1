//! The words behind a key: times to live, and under which conditions something is set.

use std::time::Duration;

use super::super::words::{SYNTAX, Words};
use super::change::Life;

/// The longest time to live; more is no time but a mistake.
const LONGEST_MS: i64 = 300 * 366 * 86_400 * 1_000;

/// In what a time is given, and from when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    AtSecond,
    AtMilli,
}

/// Milliseconds from now to a time; nothing and less where it has passed.
///
/// # Errors
/// It is beyond what can be.
pub(super) fn millis(number: i64, unit: Unit, now_us: u64, name: &str) -> Result<i64, String> {
    let invalid = || format!("ERR invalid expire time in '{name}' command");
    let now_ms = i64::try_from(now_us / 1_000).unwrap_or(i64::MAX);
    let millis = match unit {
        Unit::Seconds | Unit::AtSecond => number.checked_mul(1_000).ok_or_else(invalid)?,
        Unit::Millis | Unit::AtMilli => number,
    };
    let left = match unit {
        Unit::Seconds | Unit::Millis => millis,
        Unit::AtSecond | Unit::AtMilli => millis.checked_sub(now_ms).ok_or_else(invalid)?,
    };
    if left > LONGEST_MS { Err(invalid()) } else { Ok(left) }
}

/// So many milliseconds as a life, if there are any.
pub(super) fn life(millis: i64) -> Option<Life> {
    let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    Some(Life::For(Duration::from_millis(millis)))
}

/// What `SET` is told beside key and value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    pub only_new: bool,
    pub only_old: bool,
    pub get: bool,
    pub keep: bool,
    pub time: Option<(i64, Unit)>,
}

impl Setting {
    /// Reads the options from this place on.
    ///
    /// # Errors
    /// Redis' text.
    pub(super) fn read(words: Words<'_>, from: usize) -> Result<Self, String> {
        let mut setting = Setting::default();
        let mut at = from;
        while at < words.len() {
            let unit = [
                ("ex", Unit::Seconds),
                ("px", Unit::Millis),
                ("exat", Unit::AtSecond),
                ("pxat", Unit::AtMilli),
            ];
            let unit = unit.iter().find(|(word, _)| words.is(at, word)).map(|(_, unit)| *unit);
            if let Some(unit) = unit {
                if setting.keep || setting.time.is_some() || at + 1 == words.len() {
                    return Err(SYNTAX.to_string());
                }
                setting.time = Some((words.integer(at + 1)?, unit));
                at += 2;
                continue;
            }
            match () {
                () if words.is(at, "nx") && !setting.only_old => setting.only_new = true,
                () if words.is(at, "xx") && !setting.only_new => setting.only_old = true,
                () if words.is(at, "get") => setting.get = true,
                () if words.is(at, "keepttl") && setting.time.is_none() => setting.keep = true,
                () => return Err(SYNTAX.to_string()),
            }
            at += 1;
        }
        Ok(setting)
    }

    /// How long the value lives; nothing where its time has passed already.
    ///
    /// # Errors
    /// Redis' text for no time at all.
    pub(super) fn life(&self, now_us: u64, name: &str) -> Result<Option<Life>, String> {
        let Some((number, unit)) = self.time else {
            return Ok(Some(if self.keep { Life::Same } else { Life::Forever }));
        };
        if number <= 0 {
            return Err(format!("ERR invalid expire time in '{name}' command"));
        }
        Ok(life(millis(number, unit, now_us, name)?))
    }
}

/// When `EXPIRE` sets a time at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub none_yet: bool,
    pub some: bool,
    pub later: bool,
    pub sooner: bool,
}

impl Conditions {
    /// Reads the options from this place on.
    ///
    /// # Errors
    /// Redis' text.
    pub(super) fn read(words: Words<'_>, from: usize) -> Result<Self, String> {
        let mut conditions = Conditions::default();
        for at in from..words.len() {
            match () {
                () if words.is(at, "nx") => conditions.none_yet = true,
                () if words.is(at, "xx") => conditions.some = true,
                () if words.is(at, "gt") => conditions.later = true,
                () if words.is(at, "lt") => conditions.sooner = true,
                () => return Err(format!("ERR Unsupported option {}", words.shown(at))),
            }
        }
        let Conditions { none_yet, some, later, sooner } = conditions;
        if none_yet && (some || later || sooner) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(text.to_string());
        }
        if later && sooner {
            return Err("ERR GT and LT options at the same time are not compatible".to_string());
        }
        Ok(conditions)
    }

    /// Whether they hold for an entry that ends then, and would end then instead; for ever is the latest of all.
    pub(super) fn hold(&self, ends_us: Option<u64>, would_us: u64) -> bool {
        let ends = ends_us.unwrap_or(u64::MAX);
        !(self.none_yet && ends_us.is_some()
            || self.some && ends_us.is_none()
            || self.later && would_us <= ends
            || self.sooner && would_us >= ends)
    }
}
