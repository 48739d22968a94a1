//! What is written into a command's `req` so that its reply tells what it answers: the wire has no other memory.

use tapeline_core::command::Req;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    /// The client has asked for no answer; it is an event.
    None,
    /// The client waits for it under this number.
    Ack(&'a str),
    /// The client joins, under this name, if the token is good.
    Connect(&'a str),
    /// The client asks to join another namespace, which it cannot.
    Elsewhere(&'a str),
    /// The client has not asked.
    Quiet,
}

const QUIET: &str = "q";
const CONNECT: char = 'c';

impl<'a> Mark<'a> {
    pub(super) fn read(req: Option<&'a str>) -> Self {
        match req {
            None => Mark::None,
            Some(QUIET) => Mark::Quiet,
            // Namespaces alone begin with a slash.
            Some(text) if text.starts_with('/') => Mark::Elsewhere(text),
            Some(text) => text.strip_prefix(CONNECT).map_or(Mark::Ack(text), Mark::Connect),
        }
    }

    /// For an answer under a number, or as an event.
    pub(super) fn ack(number: Option<u64>) -> Req {
        number.map(|number| number.to_string().into())
    }

    pub(super) fn connect(sid: &str) -> Req {
        Some(format!("{CONNECT}{sid}").into())
    }

    pub(super) fn elsewhere(namespace: &str) -> Req {
        Some(namespace.into())
    }

    pub(super) fn quiet() -> Req {
        Some(QUIET.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(Mark::read(Mark::ack(None).as_deref()), Mark::None);
        assert_eq!(Mark::read(Mark::ack(Some(u64::MAX)).as_deref()), Mark::Ack("18446744073709551615"));
        assert_eq!(Mark::read(Mark::connect("q").as_deref()), Mark::Connect("q"));
        assert_eq!(Mark::read(Mark::elsewhere("/c").as_deref()), Mark::Elsewhere("/c"));
        assert_eq!(Mark::read(Mark::quiet().as_deref()), Mark::Quiet);
    }
}
