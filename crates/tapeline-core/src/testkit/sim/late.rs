//! A broker in front of the real one that takes its time: requests wait in line, answers come back in any order.
//! On the way it shows the model what the real broker says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::inboxes::lock;
use super::model::Model;
use crate::broker::{Broker, Busy, Deliver, Drafts, Head, Health, Interest, NEWEST, Page, Receipts, Sources};
use crate::channel::Channel;
use crate::clock::Clock;
use tapeline_schema::Pattern;

type Task = Box<dyn FnOnce() + Send>;

/// See the module.
pub(super) struct LateBroker {
    inner: Arc<dyn Broker>,
    model: Arc<Mutex<Model>>,
    clock: Arc<dyn Clock>,
    /// Requests wait in line until the scheduler lets them through.
    pub late_requests: AtomicBool,
    /// Answers wait until the scheduler picks them.
    pub late_answers: AtomicBool,
    line: Mutex<VecDeque<Task>>,
    answers: Arc<Mutex<Vec<Task>>>,
}

impl LateBroker {
    pub(super) fn new(inner: Arc<dyn Broker>, model: Arc<Mutex<Model>>, clock: Arc<dyn Clock>) -> Self {
        LateBroker {
            inner,
            model,
            clock,
            late_requests: AtomicBool::new(false),
            late_answers: AtomicBool::new(false),
            line: Mutex::default(),
            answers: Arc::default(),
        }
    }

    /// The next request reaches the broker; answers whether there was one.
    pub(super) fn let_through(&self) -> bool {
        let next = lock(&self.line).pop_front();
        let had = next.is_some();
        if let Some(request) = next {
            request();
        }
        had
    }

    pub(super) fn waiting_answers(&self) -> usize {
        lock(&self.answers).len()
    }

    /// An answer reaches its shard's mailbox; answers whether there was one.
    pub(super) fn answer(&self, which: usize) -> bool {
        let answer = {
            let mut answers = lock(&self.answers);
            if which >= answers.len() {
                return false;
            }
            answers.swap_remove(which)
        };
        answer();
        true
    }

    /// Where everything stands, told at once and past the model.
    pub(super) fn stand(&self, tell: Box<dyn FnOnce(Sources) + Send>) {
        if let Ok(all) = Pattern::parse("*") {
            self.inner.sources(&Interest::Pattern(all), usize::MAX - 1, tell);
        }
    }

    fn ask(&self, request: Task) {
        if self.late_requests.load(Ordering::Relaxed) || !lock(&self.line).is_empty() {
            lock(&self.line).push_back(request);
        } else {
            request();
        }
    }

    /// How answers come back: at once, or when the scheduler picks them.
    fn reply<T: Send + 'static>(&self, answer: Box<dyn FnOnce(T) + Send>) -> Box<dyn FnOnce(T) + Send> {
        if !self.late_answers.load(Ordering::Relaxed) {
            return answer;
        }
        let answers = self.answers.clone();
        Box::new(move |value| lock(&answers).push(Box::new(move || answer(value))))
    }
}

impl Broker for LateBroker {
    fn attach(&self, sink: Arc<dyn Deliver>) {
        self.inner.attach(sink);
    }

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let offered = drafts.clone();
        let count = offered.len();
        let model = self.model.clone();
        let watched: Receipts = Box::new(move |results| {
            for (draft, result) in offered.iter().zip(&results) {
                match result {
                    Ok(receipt) => lock(&model).on_receipt(draft, receipt),
                    Err(refusal) => lock(&model).violated(format!("a publish was refused: {refusal}")),
                }
            }
            if results.len() != offered.len() {
                lock(&model).violated(format!("{} receipts for {} drafts", results.len(), offered.len()));
            }
            if let Some(receipts) = receipts {
                receipts(results);
            }
        });
        let before = lock(&self.model).published;
        let outcome = self.inner.publish(drafts, Some(watched));
        if let Err(busy) = &outcome {
            lock(&self.model).check_busy(busy, count, before);
        }
        outcome
    }

    fn join(&self, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        let (inner, model, clock) = (self.inner.clone(), self.model.clone(), self.clock.clone());
        let (channel, answer) = (channel.clone(), self.reply(answer));
        self.ask(Box::new(move || {
            let (shown, at) = (model.clone(), channel.clone());
            let now_us = clock.now().wall_us;
            let check = Box::new(move |head: Head| {
                let mut model = lock(&shown);
                model.check_head(&at, &head, now_us);
                let space = model.space(&at);
                space.joined += 1;
                space.joined_us = now_us;
                drop(model);
                answer(head);
            });
            inner.join(&channel, check);
        }));
    }

    fn leave(&self, channel: &Channel) {
        let (inner, model, clock) = (self.inner.clone(), self.model.clone(), self.clock.clone());
        let channel = channel.clone();
        self.ask(Box::new(move || {
            inner.leave(&channel);
            let now_us = clock.now().wall_us;
            let mut model = lock(&model);
            let space = model.space(&channel);
            space.joined -= 1;
            space.joined_us = now_us;
            if space.joined < 0 {
                model.violated(format!("{} was left more often than joined", channel.name()));
            }
        }));
    }

    fn read(&self, channel: &Channel, after: u64, limit: usize, answer: Box<dyn FnOnce(Page) + Send>) {
        let (inner, model, clock) = (self.inner.clone(), self.model.clone(), self.clock.clone());
        let (channel, answer) = (channel.clone(), self.reply(answer));
        self.ask(Box::new(move || {
            let at = channel.clone();
            let check = Box::new(move |page: Page| {
                lock(&model).check_page(&at, (after, limit), &page, clock.now().wall_us);
                answer(page);
            });
            inner.read(&channel, after, limit, check);
        }));
    }

    fn sources(&self, interest: &Interest, limit: usize, answer: Box<dyn FnOnce(Sources) + Send>) {
        let (inner, model, clock) = (self.inner.clone(), self.model.clone(), self.clock.clone());
        let (interest, answer) = (interest.clone(), self.reply(answer));
        self.ask(Box::new(move || {
            let asked = interest.clone();
            let check = Box::new(move |sources: Sources| {
                lock(&model).check_list(&asked, &sources, clock.now().wall_us);
                answer(sources);
            });
            inner.sources(&interest, limit, check);
        }));
    }

    fn forget(&self, channel: &Channel, through: u64, answer: Box<dyn FnOnce(u64) + Send>) {
        let (model, at, now_us) = (self.model.clone(), channel.clone(), self.clock.now().wall_us);
        // A channel that the broker has forgotten whole has nothing to forget, and a new one may be unknown here yet.
        let learn = Box::new(move |page: Page| {
            if !page.head.epoch.is_empty() {
                let mut model = lock(&model);
                model.check_head(&at, &page.head, now_us);
                model.on_forget(&at, through, now_us);
            }
        });
        self.inner.read(channel, NEWEST, 0, learn);
        self.inner.forget(channel, through, answer);
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn close(&self) {
        self.inner.close();
    }
}
