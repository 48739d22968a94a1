//! One recording on its way into the merge: knows its symbol before its first line is needed, and holds the next
//! publication ready.

use std::collections::VecDeque;

use tapeline_core::command::Publication;

use super::ReplayError;
use super::binance::{self, Said};
use super::recording::{Line, Recording};

/// Lines that are read ahead in search of a symbol.
const LOOK_AHEAD: usize = 1_000;

/// A publication with its recorded time.
pub(super) struct Head {
    pub since_start_ns: u64,
    pub publication: Publication,
}

/// See the module.
pub(super) struct Source {
    pub recording: Recording,
    /// Appended to its symbols.
    pub suffix: Option<String>,
    /// What comes next; `None` at the end.
    pub head: Option<Head>,
    ahead: VecDeque<Line>,
    start_ns: Option<u64>,
    latest_ns: u64,
    /// The symbol of its newest stream message, for snapshots, which do not name theirs.
    current: Option<String>,
}

impl Source {
    /// Reads on until the first symbol.
    pub(super) fn open(recording: Recording) -> Result<Self, ReplayError> {
        let (ahead, start_ns) = (VecDeque::new(), None);
        let mut source =
            Source { recording, suffix: None, head: None, ahead, start_ns, latest_ns: 0, current: None };
        while source.current.is_none() && source.ahead.len() < LOOK_AHEAD {
            let Some(line) = source.recording.next_line()? else { break };
            source.start_ns.get_or_insert(line.received_ns);
            if let Said::Stream(_, symbol) = source.said(&line)? {
                source.current = Some(symbol.into_owned());
            }
            source.ahead.push_back(line);
        }
        Ok(source)
    }

    /// Its first symbol as channels will name it.
    pub(super) fn symbol(&self) -> Option<String> {
        self.current.as_deref().map(|symbol| self.suffixed(symbol))
    }

    fn suffixed(&self, symbol: &str) -> String {
        match &self.suffix {
            Some(suffix) => format!("{symbol}-{suffix}"),
            None => symbol.to_string(),
        }
    }

    fn said<'a>(&self, line: &'a Line) -> Result<Said<'a>, ReplayError> {
        binance::read(&line.json).map_err(|reason| self.recording.bad(line.number, reason))
    }

    /// Makes the next publication ready and answers its symbol; lines without a channel are told to `left_out`.
    pub(super) fn read_head(
        &mut self,
        left_out: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, ReplayError> {
        loop {
            let line = match self.ahead.pop_front() {
                Some(line) => line,
                None => match self.recording.next_line()? {
                    Some(line) => line,
                    None => return Ok(None),
                },
            };
            let (family, symbol) = match self.said(&line)? {
                Said::Stream(family, symbol) => (family, symbol.into_owned()),
                Said::Snapshot => (binance::Family::Depth, self.snapshot_symbol(&line)?),
                Said::Other(stream) => {
                    left_out(&stream);
                    continue;
                }
            };
            let named = self.suffixed(&symbol);
            if self.current.as_ref() != Some(&symbol) {
                self.current = Some(symbol);
            }
            // Recorded clocks are set back now and then; order in the file is what counts.
            self.latest_ns = self.latest_ns.max(line.received_ns);
            let start_ns = *self.start_ns.get_or_insert(line.received_ns);
            let channel = format!("{}:{named}", family.name()).into();
            let publication = Publication { channel, data: line.json, ..Publication::default() };
            self.head = Some(Head { since_start_ns: self.latest_ns.saturating_sub(start_ns), publication });
            return Ok(Some(named));
        }
    }

    fn snapshot_symbol(&self, line: &Line) -> Result<String, ReplayError> {
        self.current.clone().ok_or_else(|| {
            let reason =
                format!("a snapshot, and no stream message in {LOOK_AHEAD} lines says of which symbol");
            self.recording.bad(line.number, reason)
        })
    }
}
