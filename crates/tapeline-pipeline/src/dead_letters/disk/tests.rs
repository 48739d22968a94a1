//! Letters on disk: there again after a crash, with their bytes as they came, in a file that is bounded.

use std::path::PathBuf;

use tapeline_core::feed::Update;
use tapeline_schema::events::DeadLetterReason;

use super::*;
use crate::testing::letter;

const LONG: Duration = Duration::from_secs(60);

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tapeline-letters-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("dead_letters.jsonl")
    }

    fn open(&self, letters: usize) -> DiskLetters {
        DiskLetters::open(&self.0, MemoryBounds { letters, ..MemoryBounds::default() }).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn serials(letters: &DiskLetters) -> Vec<u64> {
    letters.list(&Filter::default(), usize::MAX).iter().map(|(_, letter)| letter.serial).collect()
}

fn put(letters: &DiskLetters, channel: &str, number: u64) -> LetterId {
    letters.put(letter(channel, number, DeadLetterReason::Timeout)).unwrap()
}

#[test]
fn what_was_put_and_not_taken_is_there_again_with_its_bytes_as_they_came() {
    let folder = Folder::new("again");
    let odd: &[u8] = b"{\"a\": 1.10,\n \"b\":\"\xff\"}";
    {
        let letters = folder.open(100);
        put(&letters, "executions", 1);
        let gone = put(&letters, "ticker", 2);
        let mut odd_letter = letter("balances", 3, DeadLetterReason::Overflow);
        odd_letter.update = Arc::new(Update { data: odd.to_vec().into(), ..(*odd_letter.update).clone() });
        odd_letter.history =
            vec![crate::dead_letters::Earlier { reason: DeadLetterReason::Panic, attempts: 2, last_us: 9 }];
        letters.put(odd_letter).unwrap();
        letters.take(gone).unwrap();
        assert!(letters.flush(LONG));
    }
    let letters = folder.open(100);
    assert_eq!(serials(&letters), [1, 3]);
    let found = letters.list(&Filter::default(), 9);
    assert_eq!(&found[1].1.update.data[..], odd);
    assert_eq!((found[1].1.reason, found[1].1.history.len()), (DeadLetterReason::Overflow, 1));
    assert_eq!(found[0].1.update.sequence, Some(1));
    assert!(put(&letters, "ticker", 4) > found[1].0, "names go on");
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_file_goes_on() {
    let folder = Folder::new("torn");
    for round in 0..3 {
        let letters = folder.open(100);
        put(&letters, "executions", round);
        drop(letters);
        let mut bytes = std::fs::read(folder.file()).unwrap();
        bytes.extend_from_slice(b"{\"put\":{\"id\":9,\"compo");
        std::fs::write(folder.file(), bytes).unwrap();
    }
    assert_eq!(serials(&folder.open(100)), [0, 1, 2]);
}

#[test]
fn every_cut_of_the_file_leaves_the_whole_lines_before_it() {
    let folder = Folder::new("cuts");
    let letters = folder.open(100);
    for number in 0..3 {
        let _ = put(&letters, "executions", number);
    }
    drop(letters);
    let bytes = std::fs::read(folder.file()).unwrap();
    for length in (0..=bytes.len()).step_by(7).chain([bytes.len()]) {
        std::fs::write(folder.file(), &bytes[..length]).unwrap();
        let whole = bytes[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(serials(&folder.open(100)), (0..whole).collect::<Vec<_>>(), "{length}");
    }
}

#[test]
fn a_full_store_parts_with_the_oldest_that_is_not_critical_and_refuses_when_there_is_none() {
    let folder = Folder::new("full");
    let letters = folder.open(4);
    put(&letters, "executions", 1);
    for number in 2..5 {
        put(&letters, "ticker", number);
    }
    put(&letters, "executions", 5);
    assert_eq!(serials(&letters), [1, 3, 4, 5]);
    let other = |number| {
        let letter = letter("executions", number, DeadLetterReason::Timeout);
        letters.put(crate::dead_letters::Letter { component: "other".into(), ..letter })
    };
    assert_eq!(
        letters.put(letter("executions", 6, DeadLetterReason::Timeout)),
        Err(NoRoom),
        "it has its share"
    );
    assert!(other(7).is_ok(), "another has one too");
    assert_eq!(other(8), Err(NoRoom));
    put(&letters, "ticker", 9);
    assert_eq!((serials(&letters), letters.kept().evicted), (vec![1, 5, 7, 9], 3));
    drop(letters);
    assert_eq!(serials(&folder.open(4)), [1, 5, 7, 9]);
}

#[test]
fn the_file_is_bounded_however_many_letters_come_and_go() {
    let folder = Folder::new("bounded");
    let letters = folder.open(10);
    for number in 0..4_000 {
        put(&letters, "ticker", number);
        if number % 100 == 0 {
            assert!(letters.flush(LONG));
        }
    }
    assert!(letters.flush(LONG));
    drop(letters);
    let length = std::fs::metadata(folder.file()).unwrap().len();
    assert!(length < 1_200_000, "{length}");
    assert_eq!(serials(&folder.open(10)), (3_990..4_000).collect::<Vec<_>>());
}

#[test]
fn what_waits_for_a_disk_that_fails_is_bounded_and_all_that_is_kept_is_written_once_it_works() {
    let folder = Folder::new("failing");
    let log = Log::failing(&folder.file());
    let letters =
        DiskLetters::begin(Shelf::new(MemoryBounds { letters: 20, ..MemoryBounds::default() }), log);
    let letters = letters.unwrap();
    let large = |channel: &str, number| {
        let letter = letter(channel, number, DeadLetterReason::Timeout);
        let data = format!("\"{}\"", "x".repeat(1 << 20)).into();
        let update = Arc::new(Update { data, ..(*letter.update).clone() });
        letters.put(Letter { update, ..letter })
    };
    for number in 0..40 {
        large("trade", number).unwrap();
        assert!(letters.shared.state().pending.len() <= 2 * PENDING_BYTES);
    }
    assert_eq!(large("executions", 40), Err(NoRoom), "what cannot be written must not be let go of");
    assert!(letters.shared.state().pending.is_empty());
    std::fs::create_dir_all(&folder.0).unwrap();
    assert!(letters.flush(LONG));
    put(&letters, "executions", 41);
    assert!(letters.flush(LONG));
    drop(letters);
    assert_eq!(serials(&folder.open(20)), (21..40).chain([41]).collect::<Vec<_>>());
}

#[cfg(unix)]
#[test]
fn only_their_owner_may_read_the_letters() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("own");
    drop(folder.open(10));
    let mode = std::fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
