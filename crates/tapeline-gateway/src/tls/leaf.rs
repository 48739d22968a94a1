//! How long a certificate holds: the one date of X.509 that is read here (RFC 5280, section 4.1). It judges nothing.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Elements of DER one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next one's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (len, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                let fits = bytes.len() <= size_of::<u32>();
                let len = bytes.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
                (fits.then_some(len)?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn sequence(&mut self) -> Option<Der<'a>> {
        self.next().filter(|(tag, _)| *tag == SEQUENCE).map(|(_, content)| Der(content))
    }
}

/// When the certificate ends, in seconds since 1970; nothing where that cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let mut told = Der(certificate).sequence()?.sequence()?;
    // The version may be left away; before the validity stand a number, how it was signed, and by whom.
    let (tag, _) = told.next()?;
    for _ in 0..if tag == VERSION { 3 } else { 2 } {
        told.next()?;
    }
    let mut validity = told.sequence()?;
    validity.next()?;
    let (tag, text) = validity.next()?;
    seconds(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ`, where years from 50 on are of the last century, or with a year of four digits.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let rest = rest.strip_suffix('Z').filter(|rest| rest.len() == 10)?;
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let moment = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(moment).ok().map(|moment| moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_time_are_read() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for bad in ["", "7001010000Z", "70010100000000", "701301000000Z", "7001010000é0Z"] {
            assert_eq!(seconds(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_found_and_no_cut_of_it_panics() {
        let key = rcgen::KeyPair::generate().unwrap();
        for year in [2_030, 2_060] {
            let mut params = rcgen::CertificateParams::new(vec!["hub.example".to_string()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 2);
            let der = params.self_signed(&key).unwrap().der().to_vec();
            assert_eq!(not_after(&der), Some(params.not_after.unix_timestamp()));
            for end in 0..der.len() {
                assert_eq!(not_after(&der[..end]), None, "cut at {end}");
            }
        }
    }
}
