//! When markets are open, by channel: outside these hours silence is no fault. Pure: the wall clock is handed in, the rules
//! of time zones are in the binary.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tapeline_schema::Pattern;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;

/// A time of each of some days, in a zone.
#[derive(Clone, Debug, PartialEq)]
struct Opening {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes since midnight; past `until` it goes on over midnight.
    from: u16,
    until: u16,
    zone: TimeZone,
}

/// The hours of the channels of one pattern.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    pattern: Pattern,
    openings: Vec<Opening>,
    closed: Vec<Date>,
}

/// The hours of all channels that have some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarketHours {
    groups: Vec<Group>,
    lines: Vec<String>,
}

impl MarketHours {
    /// Reads lines such as `market_data:US.* Mon-Fri 09:30-16:00 America/New_York` and `market_data:US.* closed
    /// 2026-12-25`. Lines of one pattern belong together; a channel has the hours of the first pattern that matches it. A
    /// day's hours may end after midnight: `Sun-Thu 18:00-17:00 America/Chicago`. A date is closed for the hours that begin on it.
    ///
    /// # Errors
    /// A sentence that names the line and what is wrong with it.
    pub fn parse<Line: AsRef<str>>(lines: &[Line]) -> Result<Self, String> {
        let mut hours = MarketHours::default();
        for line in lines {
            let line = line.as_ref();
            hours.add(line).map_err(|told| format!("\"{line}\": {told}"))?;
            hours.lines.push(line.to_string());
        }
        match hours.groups.iter().find(|group| group.openings.is_empty()) {
            Some(group) => Err(format!("{} is closed on some days and open on none", group.pattern.as_str())),
            None => Ok(hours),
        }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [pattern, "closed", date] => {
                let date =
                    Date::from_str(date).map_err(|_| format!("{date} is no date such as 2026-12-25"))?;
                self.group(pattern)?.closed.push(date);
            }
            [pattern, days, times, zone] => {
                let (from, until) = times
                    .split_once('-')
                    .and_then(|(from, until)| Some((minutes(from)?, minutes(until)?)))
                    .ok_or_else(|| format!("{times} is no time of the day such as 09:30-16:00"))?;
                let zone = TimeZone::get(zone)
                    .map_err(|_| format!("{zone} is no time zone such as America/New_York"))?;
                let opening = Opening { days: weekdays(days)?, from, until, zone };
                self.group(pattern)?.openings.push(opening);
            }
            _ => {
                return Err("expected PATTERN DAYS FROM-UNTIL ZONE, or PATTERN closed DATE".to_string());
            }
        }
        Ok(())
    }

    fn group(&mut self, pattern: &str) -> Result<&mut Group, String> {
        let pattern = Pattern::parse(pattern).map_err(|error| error.to_string())?;
        let at = self.groups.iter().position(|group| group.pattern == pattern);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group { pattern, openings: Vec::new(), closed: Vec::new() });
            self.groups.len() - 1
        });
        self.groups.get_mut(at).ok_or_else(|| "no room for more patterns".to_string())
    }

    /// The lines that it was read from.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The number of the hours that this channel has, for [`MarketHours::open`].
    pub fn of(&self, channel: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.pattern.matches(channel))
    }

    /// Of each number, whether it is open at this time, microseconds since 1970.
    pub fn open(&self, wall_us: u64) -> Vec<bool> {
        let at = i64::try_from(wall_us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
        let at = at.unwrap_or(Timestamp::MAX);
        self.groups.iter().map(|group| group.is_open(at)).collect()
    }
}

impl Group {
    fn is_open(&self, at: Timestamp) -> bool {
        self.openings.iter().any(|opening| opening.is_open(&at.to_zoned(opening.zone.clone()), &self.closed))
    }
}

impl Opening {
    fn is_open(&self, at: &Zoned, closed: &[Date]) -> bool {
        let minute = u16::try_from(at.hour()).unwrap_or_default() * 60
            + u16::try_from(at.minute()).unwrap_or_default();
        let opens_on = |date: Date| {
            let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
            self.days.get(day).copied().unwrap_or_default() && !closed.contains(&date)
        };
        if self.from < self.until {
            return opens_on(at.date()) && (self.from..self.until).contains(&minute);
        }
        let began_yesterday = at.date().yesterday().is_ok_and(opens_on) && minute < self.until;
        began_yesterday || (opens_on(at.date()) && minute >= self.from)
    }
}

/// `09:30`, up to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && all <= DAY_MINUTES).then_some(all)
}

/// `Mon-Fri` or `Sun`; a range may go over Sunday.
fn weekdays(text: &str) -> Result<[bool; 7], String> {
    let number = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let named = number(first).zip(number(last));
    let (first, last) = named.ok_or_else(|| format!("{text} are no days such as Mon-Fri"))?;
    let count = (last + 7 - first) % 7;
    Ok(std::array::from_fn(|day| (day + 7 - first) % 7 <= count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(lines: &[&str], channel: &str, at: &str) -> Option<bool> {
        let hours = MarketHours::parse(lines).unwrap();
        let at = u64::try_from(Timestamp::from_str(at).unwrap().as_microsecond()).unwrap();
        hours.of(channel).map(|number| hours.open(at)[number])
    }

    #[test]
    fn a_market_is_open_in_its_own_zone_in_summer_and_winter() {
        let lines = ["market_data:US.* Mon-Fri 09:30-16:00 America/New_York"];
        let at = |time| is_open(&lines, "market_data:US.AAPL", time).unwrap();
        assert!(at("2026-07-01T13:30:00Z") && !at("2026-07-01T13:29:59Z"), "New York is four hours behind");
        assert!(at("2026-01-05T14:30:00Z") && !at("2026-01-05T14:29:59Z"), "New York is five hours behind");
        assert!(!at("2026-01-05T21:00:00Z") && !at("2026-07-04T15:00:00Z"), "over; a Saturday");
        assert_eq!(is_open(&lines, "market_data:BTC/USD", "2026-07-01T15:00:00Z"), None);
    }

    #[test]
    fn closed_days_are_no_fault_and_the_first_pattern_that_matches_counts() {
        let lines = [
            "market_data:HK.* Mon-Fri 09:30-12:00 Asia/Hong_Kong",
            "market_data:HK.* Mon-Fri 13:00-16:00 Asia/Hong_Kong",
            "market_data:HK.* closed 2026-12-25",
            "market_data:* Mon-Sun 00:00-24:00 UTC",
        ];
        let at = |time| is_open(&lines, "market_data:HK.00700", time).unwrap();
        assert!(at("2026-12-24T02:00:00Z") && !at("2026-12-24T04:30:00Z") && at("2026-12-24T05:00:00Z"));
        assert!(!at("2026-12-25T02:00:00Z"));
        assert_eq!(is_open(&lines, "market_data:X", "2026-12-25T23:59:59Z"), Some(true));
    }

    #[test]
    fn hours_may_go_over_midnight_and_days_over_sunday() {
        let lines = ["orderbook:* Sun-Thu 18:00-17:00 America/Chicago"];
        let at = |time| is_open(&lines, "orderbook:ES", time).unwrap();
        // A Sunday in winter: Chicago is six hours behind.
        assert!(!at("2026-01-04T23:59:00Z") && at("2026-01-05T00:00:00Z") && at("2026-01-05T12:00:00Z"));
        assert!(!at("2026-01-05T23:30:00Z"), "the pause of the afternoon");
        assert!(
            at("2026-01-09T22:59:00Z") && !at("2026-01-10T01:00:00Z"),
            "Thursday's session ends on Friday"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, told) in [
            ("market_data:* Mon-Fri 09:30-16:00 Mars/Olympus", "Mars/Olympus is no time zone"),
            ("market_data:* Mon-Foo 09:30-16:00 UTC", "Mon-Foo are no days"),
            ("market_data:* Mon-Fri 9-16 UTC", "9-16 is no time of the day"),
            ("market_data:* Mon-Fri 09:30-24:01 UTC", "09:30-24:01 is no time of the day"),
            ("market_data:* closed yesterday", "yesterday is no date"),
            ("market_data:* closed 2026-12-25", "open on none"),
            ("market_data:*", "expected PATTERN DAYS FROM-UNTIL ZONE"),
        ] {
            let error = MarketHours::parse(&[line]).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
