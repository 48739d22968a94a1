//! Where the log ends: which of its last bytes are records, and whether what is lacking had been acknowledged. The only
//! place that decides between a tail that is cut and a middle that is refused.

use super::EmbeddedError;
use super::frame::{Found, HEAD, Kind, beyond, look};
use super::log::Place;
use super::record::{Record, parse};

/// How the last file of the log ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Behind its last whole record.
    pub(super) end: u64,
    /// Whether bytes behind that are no record.
    pub(super) is_torn: bool,
}

/// Shows each record of a file that must be whole, and of the last one as far as it is.
pub(super) fn read(
    bytes: &[u8],
    number: u64,
    is_last: bool,
    is_same_boot: bool,
    mut see: impl FnMut(u64, Record<'_>),
) -> Result<Tail, EmbeddedError> {
    let damaged = |at: usize| EmbeddedError::Damaged { file: Kind::Log.name(number), at: at as u64 };
    if bytes.get(..HEAD) != Some(&Kind::Log.head(number)) {
        // Its head is synced before anything follows it.
        return if is_last && bytes.len() <= HEAD {
            Ok(Tail { end: 0, is_torn: true })
        } else {
            Err(damaged(0))
        };
    }
    let mut at = HEAD;
    loop {
        match look(bytes, at) {
            Found::Record(body, next) => {
                let (record_number, record) = parse(body).ok_or_else(|| damaged(at))?;
                see(record_number, record);
                at = next;
            }
            Found::End => return Ok(Tail { end: at as u64, is_torn: false }),
            Found::Unfinished | Found::Damaged => break,
        }
    }
    // Only a machine that stopped writes a file in another order than its process did, and not what it had synced.
    let goes_on = beyond(bytes, at).any(|body| match parse(body) {
        Some((_, Record::Synced { number: synced, at: to })) => {
            is_same_boot || Place { number: synced, at: to } > Place { number, at: at as u64 }
        }
        Some(_) => is_same_boot,
        None => false,
    });
    if !is_last || goes_on { Err(damaged(at)) } else { Ok(Tail { end: at as u64, is_torn: true }) }
}
