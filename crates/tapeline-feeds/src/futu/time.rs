//! When a market's clock says something, in UTC: the gateway writes times of the exchange without a zone. The rules of
//! the zones are written out, so no system's time zone data is needed; they hold since 2007.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};

/// Of New York and Toronto.
static EASTERN: LazyLock<Option<TimeZone>> = LazyLock::new(|| TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").ok());
/// Of Sydney.
static SYDNEY: LazyLock<Option<TimeZone>> =
    LazyLock::new(|| TimeZone::posix("AEST-10AEDT,M10.1.0,M4.1.0/3").ok());

/// The zone of a market's clock; unknown of markets that are in none.
fn zone(market: &str) -> Option<TimeZone> {
    match market {
        "HK" | "HK_FUTURE" | "SH" | "SZ" | "SG" | "MY" => Some(offset(8).to_time_zone()),
        "JP" => Some(offset(9).to_time_zone()),
        "US" | "CA" => EASTERN.clone(),
        "AU" => SYDNEY.clone(),
        _ => None,
    }
}

/// Microseconds since 1970 of a clock that shows `2024-01-05 10:00:01.123`; `None` where it shows nothing, or its zone
/// is not known. Of an hour that comes twice it is the first.
pub(super) fn utc_us(market: &str, clock: &str) -> Option<u64> {
    let clock: DateTime = clock.trim().parse().ok()?;
    let time = clock.to_zoned(zone(market)?).ok()?.timestamp();
    u64::try_from(time.as_microsecond()).ok().filter(|us| *us > 0)
}

#[cfg(test)]
mod tests {
    use tapeline_core::clock::rfc3339;

    use super::*;

    fn utc(market: &str, clock: &str) -> Option<String> {
        utc_us(market, clock).map(rfc3339)
    }

    #[test]
    fn clocks_of_markets_are_read_in_their_zones_with_summer_time() {
        for (market, clock, is) in [
            ("HK", "2024-01-05 10:00:01.123", "2024-01-05T02:00:01.123000Z"),
            ("SH", "2024-07-05 10:00:01", "2024-07-05T02:00:01.000000Z"),
            ("SZ", "2024-01-05 00:30:00", "2024-01-04T16:30:00.000000Z"),
            ("US", "2024-01-05 09:30:00.5", "2024-01-05T14:30:00.500000Z"),
            ("US", "2024-07-05 09:30:00", "2024-07-05T13:30:00.000000Z"),
            ("US", "2024-11-03 01:30:00", "2024-11-03T05:30:00.000000Z"),
            ("US", "2024-03-10 03:00:00", "2024-03-10T07:00:00.000000Z"),
            ("JP", "2024-07-05 09:00:00", "2024-07-05T00:00:00.000000Z"),
            ("AU", "2024-01-05 10:00:00", "2024-01-04T23:00:00.000000Z"),
            ("AU", "2024-07-05 10:00:00", "2024-07-05T00:00:00.000000Z"),
        ] {
            assert_eq!(utc(market, clock).as_deref(), Some(is), "{market} {clock}");
        }
    }

    #[test]
    fn no_time_and_unknown_zones_are_none() {
        for (market, clock) in [
            ("HK", ""),
            ("HK", "0"),
            ("HK", "10:00:01"),
            ("FX", "2024-01-05 10:00:01"),
            ("HK", "1969-01-01 00:00:00"),
        ] {
            assert_eq!(utc(market, clock), None, "{market} {clock}");
        }
    }
}
