//! Any bytes as the requests of a Redis client: the way they are cut changes nothing, and no limit is passed.

use tapeline_codec::resp::{Decoder, Limits, ProtocolError};

const LIMITS: Limits = Limits { arguments: 64, argument_bytes: 4 << 10, command_bytes: 16 << 10 };

type Decoded = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, stranger: bool) -> Decoded {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_stranger(stranger);
    let mut all = Vec::new();
    for piece in pieces {
        let mut commands = decoder.feed(piece);
        loop {
            match commands.next() {
                Ok(Some(command)) => {
                    let words: Vec<Vec<u8>> = command.from(0).map(<[u8]>::to_vec).collect();
                    assert!(!words.is_empty() && words.len() == command.len(), "a command has words");
                    assert!(words.len() <= 64 << 10, "as many as fit into a line, or the limit");
                    all.push(words);
                }
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
    }
    (all, None)
}

/// The check of the target `resp`. The first byte says how the rest is cut.
pub(crate) fn check(input: &[u8]) {
    let (cut, rest) = input.split_first().map_or((1, input), |(cut, rest)| (usize::from(*cut).max(1), rest));
    for stranger in [false, true] {
        let whole = decode(std::iter::once(rest), stranger);
        let cut = decode(rest.chunks(cut), stranger);
        assert_eq!(whole, cut, "the way bytes are cut changes nothing");
    }
}
