//! The judge: what was published against what a subscriber heard. It trusts neither: a message that comes twice, out of
//! order, from nowhere or after it was refused is as bad as one that is missing without a word.

use std::collections::HashMap;
use std::time::Duration;

use super::{Fate, Heard, Place, Publication};

/// The latest that a publish must be answered. A hub gives up after two seconds; the rest is for machines that are busy.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// What was told on the way, for tests that expect more than honesty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Messages that came.
    pub(crate) heard: usize,
    /// Acknowledged messages that did not, all of them told.
    pub(crate) missing: usize,
    /// The reason of each gap.
    pub(crate) gaps: Vec<String>,
    /// What each resumption was told.
    pub(crate) recovered: Vec<bool>,
}

/// Places that a subscriber knows it will not hear.
struct Lost {
    /// Not known until the first message of a new epoch.
    epoch: Option<String>,
    from: u64,
    to: u64,
}

/// Where a subscriber of every message stands.
#[derive(Default)]
struct Walk {
    begun: bool,
    epoch: Option<String>,
    last: u64,
    /// It was told `recovered: false` and what follows may stand anywhere.
    loose: bool,
    lost: Vec<Lost>,
    seen: HashMap<u64, Place>,
    verdict: Verdict,
}

impl Walk {
    fn take(&mut self, heard: &Heard) -> Result<(), String> {
        match heard {
            Heard::Confirmed { head, recovered } => {
                self.confirm(head.as_ref(), *recovered);
                Ok(())
            }
            Heard::Message { number, place, .. } => self.hear(*number, place),
            Heard::Gap { from, to, reason, .. } => {
                self.verdict.gaps.push(reason.clone());
                match (to, reason.as_str()) {
                    (None, "epoch") => self.begin_anew(*from),
                    // Nothing that was counted is missing.
                    (None, _) => Ok(()),
                    (Some(to), _) => self.step_over(*from, *to),
                }
            }
            Heard::Notice(_) | Heard::Ended(_) => Ok(()),
        }
    }

    fn confirm(&mut self, head: Option<&Place>, recovered: Option<bool>) {
        self.verdict.recovered.extend(recovered);
        if std::mem::replace(&mut self.begun, true) {
            self.loose |= recovered != Some(true);
        } else if let Some(head) = head.filter(|head| !head.epoch.is_empty()) {
            // What was published before it came is not owed to it.
            self.lost.push(Lost { epoch: Some(head.epoch.clone()), from: 0, to: head.offset });
            (self.epoch, self.last) = (Some(head.epoch.clone()), head.offset);
        }
    }

    fn begin_anew(&mut self, from: u64) -> Result<(), String> {
        self.expect_next(from, "the gap")?;
        self.lost.push(Lost { epoch: self.epoch.take(), from, to: u64::MAX });
        (self.last, self.loose) = (0, false);
        Ok(())
    }

    fn step_over(&mut self, from: u64, to: u64) -> Result<(), String> {
        self.expect_next(from, "the gap")?;
        self.lost.push(Lost { epoch: self.epoch.clone(), from, to });
        self.last = to;
        Ok(())
    }

    fn hear(&mut self, number: u64, place: &Place) -> Result<(), String> {
        if let Some(first) = self.seen.insert(number, place.clone()) {
            return Err(format!("{number} came twice: at {first:?} and at {place:?}"));
        }
        self.verdict.heard += 1;
        match &self.epoch {
            Some(epoch) if *epoch == place.epoch => {}
            Some(epoch) if self.loose => {
                self.lost.push(Lost { epoch: Some(epoch.clone()), from: self.last + 1, to: u64::MAX });
                self.last = 0;
            }
            Some(epoch) => {
                return Err(format!(
                    "{number} came under {}; nobody has said that {epoch} is over",
                    place.epoch
                ));
            }
            None => {
                let unnamed = self.lost.iter_mut().filter(|lost| lost.epoch.is_none());
                unnamed.for_each(|lost| lost.epoch = Some(place.epoch.clone()));
            }
        }
        if self.loose && place.offset > self.last {
            let epoch = Some(place.epoch.clone());
            self.lost.push(Lost { epoch, from: self.last + 1, to: place.offset - 1 });
            self.last = place.offset - 1;
        }
        self.loose = false;
        self.expect_next(place.offset, &format!("{number}"))?;
        (self.epoch, self.last) = (Some(place.epoch.clone()), place.offset);
        Ok(())
    }

    fn expect_next(&self, offset: u64, what: &str) -> Result<(), String> {
        if self.loose || offset == self.last + 1 {
            return Ok(());
        }
        Err(format!("{what} is at {offset}, where {} is due in {:?}", self.last + 1, self.epoch))
    }

    fn is_told(&self, place: &Place) -> bool {
        let is_in = |lost: &Lost| {
            lost.epoch.as_ref() == Some(&place.epoch) && (lost.from..=lost.to).contains(&place.offset)
        };
        let unknown = !self.seen.values().any(|seen| seen.epoch == place.epoch)
            && !self.lost.iter().any(|lost| lost.epoch.as_ref() == Some(&place.epoch));
        // An epoch that came and went while the subscriber was away is behind the word that another has begun.
        let skipped = unknown && self.verdict.gaps.iter().any(|reason| reason == "epoch");
        skipped || self.lost.iter().any(is_in)
    }

    /// How many messages it was told of that it will not hear.
    fn told(&self) -> u64 {
        let sizes =
            self.lost.iter().filter(|lost| lost.from > 0).map(|lost| lost.to.saturating_sub(lost.from));
        sizes.fold(0, |sum, size| sum.saturating_add(size).saturating_add(1))
    }
}

/// A subscriber of every message, of this channel or roll-up: each acknowledged message came once and in order, or lies
/// in what it was told; nothing else came but what nobody knows the fate of.
pub(crate) fn every(channel: &str, published: &[Publication], heard: &[Heard]) -> Result<Verdict, String> {
    let mut walk = Walk::default();
    for heard in heard.iter().filter(|heard| concerns(channel, heard)) {
        walk.take(heard)?;
    }
    let numbers = known(published)?;
    for number in walk.seen.keys() {
        may_come(*number, &numbers)?;
    }
    let mut uncertain = 0;
    for publication in published {
        let Fate::Acknowledged(place) = &publication.fate else { continue };
        let counts = publication.channel == channel;
        match walk.seen.get(&publication.number) {
            Some(came) if counts && came != place => {
                return Err(format!(
                    "{} was acknowledged at {place:?} and came at {came:?}",
                    publication.number
                ));
            }
            Some(_) => {}
            None if counts && !walk.is_told(place) => {
                return Err(format!("{} was acknowledged at {place:?} and never came", publication.number));
            }
            None => {
                walk.verdict.missing += 1;
                uncertain += u64::from(!counts);
            }
        }
    }
    if uncertain > walk.told() {
        return Err(format!("{uncertain} acknowledged messages never came, {} are told of", walk.told()));
    }
    if let Some(held) = published.iter().find(|publication| publication.fate == Fate::Held) {
        return Err(format!("{} was held, though every message counts", held.number));
    }
    Ok(walk.verdict)
}

/// A subscriber of the newest message of a channel with one publisher: it only ever saw newer ones, and ends with the
/// newest that was acknowledged or held.
pub(crate) fn latest(channel: &str, published: &[Publication], heard: &[Heard]) -> Result<Verdict, String> {
    let numbers = known(published)?;
    let (mut verdict, mut last, mut again) = (Verdict::default(), None, false);
    for heard in heard {
        match heard {
            Heard::Confirmed { recovered, .. } => {
                verdict.recovered.extend(recovered);
                again = true;
            }
            Heard::Message { channel: of, number, .. } if of == channel => {
                may_come(*number, &numbers)?;
                let is_newer = last.is_none_or(|last| last < *number) || (again && last == Some(*number));
                if !is_newer {
                    return Err(format!("{number} came after {last:?}"));
                }
                (last, again) = (Some(*number), false);
                verdict.heard += 1;
            }
            _ => {}
        }
    }
    let counts = |publication: &&Publication| matches!(publication.fate, Fate::Acknowledged(_) | Fate::Held);
    let newest = published.iter().filter(counts).map(|publication| publication.number).max();
    if newest > last {
        return Err(format!("the newest is {newest:?}, what came last is {last:?}"));
    }
    Ok(verdict)
}

/// Nobody waited for longer than a publisher may have to, and those that the broker did not take were told so.
pub(crate) fn answers(published: &[Publication]) -> Result<(), String> {
    for publication in published {
        if publication.status != 0 && publication.took > ANSWERED_WITHIN {
            return Err(format!("{} was answered after {:?}", publication.number, publication.took));
        }
        if let Fate::Refused(code) = &publication.fate
            && (publication.status, code.as_str()) != (503, "degraded")
        {
            return Err(format!("{} was refused with {} {code}", publication.number, publication.status));
        }
    }
    Ok(())
}

fn concerns(channel: &str, heard: &Heard) -> bool {
    match heard {
        Heard::Message { channel: of, .. } | Heard::Gap { channel: of, .. } => of == channel,
        _ => true,
    }
}

fn known(published: &[Publication]) -> Result<HashMap<u64, &Fate>, String> {
    let mut numbers = HashMap::new();
    for publication in published {
        if numbers.insert(publication.number, &publication.fate).is_some() {
            return Err(format!("{} was published twice: the test is wrong", publication.number));
        }
    }
    Ok(numbers)
}

fn may_come(number: u64, numbers: &HashMap<u64, &Fate>) -> Result<(), String> {
    match numbers.get(&number) {
        None => Err(format!("{number} came and was never published")),
        Some(Fate::Refused(code)) => Err(format!("{number} came and was refused with {code}")),
        Some(_) => Ok(()),
    }
}
