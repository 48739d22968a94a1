//! A transaction whose answers leave in one piece: its commands are made steps first, and then followed one after another
//! beside the shard. It knows nothing of which commands can be such steps.

use std::sync::{Arc, Mutex};

use tapeline_codec::resp::Writer;
use tapeline_core::{Hub, Refusal};
use tapeline_schema::ErrorCode;
use tokio::sync::oneshot;

use super::gauge::{Gauge, Work};
use super::{ANSWER_BYTES, Answer, Place, Said};
use crate::resp::talk::Call;
use crate::resp::wire::refused;

/// Bytes that one transaction looks at.
const LOOKED_AT: u64 = 64 << 20;

/// Asks the store.
type Start = Box<dyn FnOnce(&Arc<Hub>, Answer) + Send>;

/// One command.
enum Step {
    /// Its answer is known.
    Said(Vec<u8>),
    Ask(Start),
}

/// The commands of one transaction.
#[derive(Default)]
pub(in crate::resp) struct Steps(Vec<Step>);

impl Steps {
    /// The answer of the next one is known.
    pub(in crate::resp) fn say(&mut self, bytes: Vec<u8>) {
        self.0.push(Step::Said(bytes));
    }

    /// The next one asks the store.
    pub(super) fn ask(&mut self, start: impl FnOnce(&Arc<Hub>, Answer) + Send + 'static) {
        self.0.push(Step::Ask(Box::new(start)));
    }
}

/// Follows the steps and answers all of them as one array. What the connection asks after that waits for it.
pub(in crate::resp) fn follow(call: &mut Call<'_, '_>, Steps(steps): Steps) {
    let hub = call.port.hub().clone();
    let (gauge, version) = (call.talk.gauge.clone(), call.talk.version);
    let common = call.talk.common.clone();
    let turn = call.port.turn();
    let later = call.port.later(turn);
    gauge.begin(Work::Change, 0);
    call.talk.common.runtime.spawn(async move {
        // What its commands cost is nobody's turn: they are followed beside the shard.
        let own = Arc::new(Gauge::default());
        let mut out = Vec::new();
        Writer::new(&mut out, version).array(steps.len());
        for step in steps {
            let start = match step {
                Step::Said(bytes) => {
                    out.extend_from_slice(&bytes);
                    continue;
                }
                Step::Ask(_) if out.len() > ANSWER_BYTES => {
                    Said::too_large().write(&mut Writer::new(&mut out, version));
                    continue;
                }
                Step::Ask(_) if own.looked_at() > LOOKED_AT => {
                    Said::Error(too_much()).write(&mut Writer::new(&mut out, version));
                    continue;
                }
                Step::Ask(start) => start,
            };
            let (found, answered) = oneshot::channel();
            own.begin(Work::Change, 0);
            let answer = Answer {
                place: Arc::new(Mutex::new(Place::Step(found))),
                gauge: own.clone(),
                work: Work::Change,
                keys: 0,
                version,
                common: common.clone(),
                given: false,
            };
            start(&hub, answer);
            match answered.await {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(_) => {
                    let refusal = Refusal::new(ErrorCode::Degraded, "the store gave no answer");
                    Said::Error(refused(&refusal)).write(&mut Writer::new(&mut out, version));
                }
            }
            tokio::task::yield_now().await;
        }
        gauge.end(Work::Change, 0);
        later.answer(out);
    });
}

fn too_much() -> String {
    format!(
        "ERR too_large: this transaction has looked at {} MiB; this command was not followed",
        LOOKED_AT >> 20
    )
}
