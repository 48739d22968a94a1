//! A command's words, wherever they lie: in what was read, or kept until they can be followed.

use tapeline_codec::resp::{Command, parse_integer};

/// What a word takes beside its bytes where it is kept.
const WORD_BYTES: usize = 32;

/// Words that are kept.
pub(super) type Kept = Box<[Box<[u8]>]>;

/// A command and its arguments; the name is at place 0.
#[derive(Clone, Copy)]
pub(super) enum Words<'a> {
    Read(Command<'a>),
    Kept(&'a [Box<[u8]>]),
}

impl<'a> Words<'a> {
    /// Empty where there is none.
    pub(super) fn at(self, place: usize) -> &'a [u8] {
        match self {
            Words::Read(command) => command.argument(place),
            Words::Kept(words) => words.get(place).map(|word| &**word).unwrap_or_default(),
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Words::Read(command) => command.len(),
            Words::Kept(words) => words.len(),
        }
    }

    /// All from this place on.
    pub(super) fn from(self, place: usize) -> impl Iterator<Item = &'a [u8]> {
        (place..self.len()).map(move |place| self.at(place))
    }

    pub(super) fn keep(self) -> Kept {
        self.from(0).map(Box::from).collect()
    }

    /// What it takes to keep them.
    pub(super) fn bytes(self) -> usize {
        self.from(0).map(|word| word.len() + WORD_BYTES).sum()
    }

    /// Whether the word at this place is this one, in whatever case.
    pub(super) fn is(self, place: usize, word: &str) -> bool {
        self.at(place).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The word at this place as it can stand in a reply.
    pub(super) fn shown(self, place: usize) -> String {
        shown(self.at(place), 128)
    }

    /// The number at this place.
    ///
    /// # Errors
    /// Redis' text for what is none.
    pub(super) fn integer(self, place: usize) -> Result<i64, String> {
        parse_integer(self.at(place)).ok_or_else(|| NOT_AN_INTEGER.to_string())
    }
}

/// What Redis says where a number was expected.
pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
/// What it says where options make no sense.
pub(super) const SYNTAX: &str = "ERR syntax error";

/// So many bytes of a word, as text.
pub(super) fn shown(word: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(word.get(..limit).unwrap_or(word)).into_owned()
}
