//! The line to Redis: two connections that live and end together, one for requests and one for what is heard, and what
//! happens between one line and the next. All of it runs on the link's one thread.

mod hearing;
mod requests;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::link::{Shared, lock};
use super::request::{LinkError, Patience, Request};
use super::resp::{Command, Value};
use super::socket::{ConnectError, Server, Socket};
use hearing::Hearing;
use requests::Requests;

/// A Redis that owes an answer for so long is out of reach.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often the line is looked after.
const TICK: Duration = Duration::from_millis(100);
/// Between two attempts to connect: some random time below this, which doubles after every eighth: a Redis that is back
/// after a second is found before those who wait for it are refused.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_LIMIT: Duration = Duration::from_secs(2);
/// Closing waits so long for what was sent.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The connections of the line before, as Redis numbers them.
#[derive(Default)]
struct Before {
    run_id: String,
    ids: Vec<u64>,
    /// It was said that they may not be ended.
    warned: bool,
}

/// Keeps a line until the link is closed.
pub(super) async fn run(shared: &Shared, first: SyncSender<Result<(), ConnectError>>) {
    let mut first = Some(first);
    let mut before = Before::default();
    let mut attempts = 0_u32;
    while !is_closing(shared) {
        let why = match connect(shared, &mut before).await {
            Ok(line) => {
                tell(&mut first, Ok(()));
                attempts = 0;
                line.run(shared).await
            }
            Err(error) => {
                let (denied, why) = (matches!(error, ConnectError::Denied(_)), error.to_string());
                lock(&shared.queue).why.clone_from(&why);
                if tell(&mut first, Err(error)) && denied {
                    break;
                }
                why
            }
        };
        let pause = jitter(BACKOFF.saturating_mul(1 << (attempts / 8).min(3)).min(BACKOFF_LIMIT));
        attempts += 1;
        tracing::debug!("{}: {why}; again in {} ms", shared.address, pause.as_millis());
        wait(shared, pause).await;
    }
    let mut waiting = std::mem::take(&mut lock(&shared.queue).waiting);
    for request in &mut waiting {
        request.fail(LinkError::NotSent("the hub is closing".into()));
    }
}

fn tell(first: &mut Option<SyncSender<Result<(), ConnectError>>>, outcome: Result<(), ConnectError>) -> bool {
    // Who waited may have given up; then nobody hears it.
    first.take().is_some_and(|first| first.try_send(outcome).is_ok())
}

fn is_closing(shared: &Shared) -> bool {
    lock(&shared.queue).closing.is_some()
}

/// A random time up to this one.
fn jitter(limit: Duration) -> Duration {
    let thousandth = u32::try_from(RandomState::new().hash_one(0) % 1_000).unwrap_or(0);
    limit / 1_000 * thousandth
}

/// Waits while there is no line; requests still run out of time.
async fn wait(shared: &Shared, pause: Duration) {
    let until = Instant::now() + pause;
    while !is_closing(shared) {
        expire(shared);
        tick(shared);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(TICK)).await;
    }
}

fn tick(shared: &Shared) {
    if let Some(events) = shared.events() {
        events.on_tick();
    }
}

/// Fails what has waited too long for the line.
fn expire(shared: &Shared) {
    let now = Instant::now();
    let mut late = Vec::new();
    let why = {
        let mut queue = lock(&shared.queue);
        if !queue.waiting.iter().any(|request| request.is_late(now)) {
            return;
        }
        let waiting = std::mem::take(&mut queue.waiting).into_iter();
        let (gone, left): (Vec<_>, Vec<_>) = waiting.partition(|request| request.is_late(now));
        queue.waiting = left.into();
        late.extend(gone);
        queue.bytes -= late.iter().map(Request::weight).sum::<usize>();
        queue.why_down()
    };
    for mut request in late {
        request.fail(LinkError::NotSent(why.clone()));
    }
}

/// Both connections.
struct Line {
    server: Server,
    requests: Socket,
    hearing: Socket,
}

async fn connect(shared: &Shared, before: &mut Before) -> Result<Line, ConnectError> {
    let connecting = async {
        let mut requests = Socket::open(&shared.address, &shared.name, ANSWER_WITHIN).await?;
        let server = requests.meet().await?;
        if server.run_id == before.run_id {
            // What the old connections still have in Redis' buffers must not run after what is asked from now on.
            let kill = |id: &u64| Command::new("CLIENT KILL ID").number(*id);
            let killed = requests.call(&before.ids.iter().map(kill).collect::<Vec<_>>()).await?;
            if let Some(why) = killed.iter().find_map(Value::error)
                && !std::mem::replace(&mut before.warned, true)
            {
                tracing::warn!(
                    "{}: old connections are not ended ({why}), and what they sent may run late: grant +client|kill",
                    shared.address
                );
            }
        }
        let scripts = shared.events().map(|events| events.scripts()).unwrap_or_default();
        // Where one is not taken, it fails when it is used, which says why.
        requests.call(&scripts.iter().map(|script| script.load()).collect::<Vec<_>>()).await?;
        let hearing = Socket::open(&shared.address, &shared.name, ANSWER_WITHIN).await?;
        before.run_id.clone_from(&server.run_id);
        before.ids = vec![requests.id, hearing.id];
        Ok(Line { server, requests, hearing })
    };
    match tokio::time::timeout(2 * ANSWER_WITHIN, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::Unreachable("no answer while connecting".into())),
    }
}

impl Line {
    /// Works until it breaks, and says why.
    async fn run(self, shared: &Shared) -> String {
        lock(&shared.topics).begin();
        let requests = Requests::new(shared);
        let hearing = Hearing::new(shared, &self.server);
        let (asking, listening) = (self.requests, self.hearing);
        let outcome = tokio::try_join!(
            requests.send(asking.writing),
            requests.receive(asking.reading, asking.read),
            hearing.send(listening.writing),
            hearing.receive(listening.reading, listening.read),
            watch(shared, &requests, &hearing),
        );
        let why = match outcome {
            Err(why) => why,
            Ok((never, ..)) => match never {},
        };
        on_down(shared, requests.into_unanswered(), &why);
        why
    }
}

/// Looks after a line again and again.
async fn watch(shared: &Shared, requests: &Requests<'_>, hearing: &Hearing<'_>) -> Result<Never, String> {
    loop {
        hearing.up_if_settled();
        tick(shared);
        expire(shared);
        requests.check()?;
        hearing.check()?;
        {
            let mut queue = lock(&shared.queue);
            if let Some(why) = queue.broken.take() {
                return Err(why);
            }
            let idle = queue.waiting.is_empty() && requests.is_idle();
            if queue.closing.is_some_and(|since| idle || since.elapsed() > CLOSE_WITHIN) {
                return Err("the hub is closing".into());
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Says that the line is down; what can be asked again waits for the next one, in its old order.
fn on_down(shared: &Shared, unanswered: Vec<Request>, why: &str) {
    lock(&shared.topics).end();
    let events = shared.events();
    {
        let mut queue = lock(&shared.queue);
        queue.up = false;
        queue.broken = None;
        queue.why = why.to_owned();
    }
    if let Some(events) = &events {
        events.on_down(why);
    }
    let mut again = Vec::new();
    for mut request in unanswered {
        if request.patience == Patience::Return {
            request.restart();
            again.push(request);
        } else {
            request.fail(LinkError::Unknown(why.to_owned()));
        }
    }
    let hasty: Vec<Request> = {
        let mut queue = lock(&shared.queue);
        let waiting = std::mem::take(&mut queue.waiting).into_iter();
        let (hasty, patient): (Vec<_>, Vec<_>) =
            waiting.partition(|request| request.patience == Patience::Now);
        queue.waiting = again.into_iter().chain(patient).collect();
        queue.bytes = queue.waiting.iter().map(Request::weight).sum();
        hasty
    };
    for mut request in hasty {
        request.fail(LinkError::NotSent(why.to_owned()));
    }
}

/// Nothing ends well on a line: it goes on until it breaks.
enum Never {}
