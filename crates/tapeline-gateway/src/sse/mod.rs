//! Server-Sent Events: `GET /events?channel=…`, for a browser's `EventSource` and `curl -N`. A session whose bytes travel
//! through a conduit into the `body` of one answer. `wire` writes events, `places` what `Last-Event-ID` brings back, `again`
//! what those are told who come in vain.

mod again;
mod body;
mod places;
mod wire;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tapeline_core::session::Arrival;
use tapeline_core::{Channel, Command, Refusal};
use tapeline_runtime::{Port, Protocol, Taken};
use tapeline_schema::{ErrorCode, Pattern};

use crate::addresses::Here;
use crate::app::App;
use crate::caller::Caller;
use crate::connection::has_room;
use crate::error::Failure;
use crate::extract::Asking;
use crate::native;
use crate::peer::Peer;

pub(crate) use again::{is_listener, tell_in_stream, whole_answer};

use body::Events;
use places::{Places, Topics};
use wire::SSE;

/// The header in which a browser brings back the last id it saw.
const LAST_EVENT_ID: &str = "last-event-id";

/// What is asked for, in the order in which it stood in the query.
struct Asked {
    topics: Topics,
    max_rate: Option<f64>,
    delivery: Option<String>,
    notices: bool,
    heartbeat: bool,
    last_event_id: Option<String>,
}

impl Asked {
    fn read(pairs: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Refusal> {
        let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().map(str::to_string)).transpose();
        let last = last.map_err(|_| invalid("Last-Event-ID is not printable ASCII"))?;
        let mut asked = Asked {
            topics: Topics::default(),
            max_rate: None,
            delivery: None,
            notices: true,
            heartbeat: true,
            last_event_id: None,
        };
        for (name, value) in pairs {
            match name.as_str() {
                "channel" => asked.topics.channels.push(value),
                "pattern" => asked.topics.patterns.push(value),
                "max_rate" => {
                    let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite());
                    let rate = rate.ok_or_else(|| invalid(format!("max_rate is {value:?}, no number")))?;
                    asked.max_rate = Some(rate);
                }
                "delivery" => asked.delivery = Some(value),
                "notices" => asked.notices = value != "0",
                "heartbeat" => asked.heartbeat = value != "0",
                "last_event_id" => asked.last_event_id = Some(value),
                _ => {}
            }
        }
        // A browser that comes back knows better than the address that it first came with.
        asked.last_event_id = last.or(asked.last_event_id).filter(|id| !id.is_empty());
        if asked.topics.is_empty() {
            return Err(invalid("channel or pattern is missing"));
        }
        Ok(asked)
    }

    /// One command for all channels, and one for each pattern, whether it comes for the first time or again.
    fn commands(&self, places: &Places) -> Result<Vec<Command>, Refusal> {
        let channels = match &*self.topics.channels {
            [] => None,
            [only] => {
                let place = places.since(only).or_else(|| places.since_each());
                Some((json!({ "channel": only }), place))
            }
            several => Some((json!({ "channels": several }), places.since_each())),
        };
        let patterns = self.topics.patterns.iter();
        let patterns = patterns.map(|text| (json!({ "pattern": text }), places.since_each()));
        channels.into_iter().chain(patterns).map(|(topic, since)| self.command(topic, since)).collect()
    }

    /// Written as a native client would, so that it is read by the same rules.
    fn command(&self, mut frame: Value, since: Option<Value>) -> Result<Command, Refusal> {
        if let Some(frame) = frame.as_object_mut() {
            frame.insert("action".into(), "subscribe".into());
            frame.extend(self.max_rate.map(|rate| ("max_rate".into(), rate.into())));
            frame.extend(self.delivery.clone().map(|delivery| ("delivery".into(), delivery.into())));
            frame.extend(since.map(|since| ("since".into(), since)));
        }
        native::read(&frame.to_string())
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// `GET /events?channel=…&channel=…&pattern=…`.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(Caller { principal, grant }): Extension<Caller>,
    Asking(pairs): Asking<Vec<(String, String)>>,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let asked = Asked::read(pairs, &headers)?;
    let channels = look_up(&app, &asked.topics)?;
    let limit = app.hub.settings().channels_per_request;
    let count = asked.topics.channels.len() + asked.topics.patterns.len();
    if count > limit {
        let message =
            format!("{count} channels in one request, the limit is {limit} (limits.channels_per_request)");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    let mut places = match &asked.last_event_id {
        Some(id) => Places::read(id, &asked.topics, &channels)?,
        None => Places::new(&asked.topics, &channels, app.hub.now().wall_us),
    };
    places.hushes = !asked.heartbeat;
    let commands = asked.commands(&places)?;
    // All ask for the same but where to begin.
    if let Some(Command::Subscribe { options, .. }) = commands.first() {
        for channel in &channels {
            app.hub.may_hear(&grant, channel, options)?;
        }
    }
    let here = admit(&app, &peer, version)?;
    let arrival = Arrival {
        principal,
        address: peer.principal.clone(),
        seat: None,
        client: None,
        grant,
        wire: &SSE,
        notices: asked.notices,
        // Silence is always broken: a listener that has gone is noticed by nothing but a write.
        heartbeat: true,
        beat: None,
    };
    let protocol = Box::new(Listening { commands, _here: here });
    let stopping = |_| Failure::new(ErrorCode::Overloaded, crate::door::STOPPING);
    let far = app.shards.open_conduit(arrival, protocol).map_err(stopping)?;
    let first = format!("retry: {}\n\n", again::retry_ms(0));
    Ok((again::head(), Body::new(Events::new(far, first.into(), places))).into_response())
}

/// Whether there is room for one more session that lasts. Over HTTP/1.1 its connection is counted already; HTTP/2 and
/// proxies have many on one.
fn admit(app: &App, peer: &Peer, version: Version) -> Result<Option<Arc<Here>>, Refusal> {
    if app.hub.pressure().step() > 0 {
        app.addresses.turned_away.memory.add(1);
        return Err(app.hub.pressure().refusal("new connections are not taken"));
    }
    if version < Version::HTTP_2 && peer.here.is_some() {
        return Ok(peer.here.clone());
    }
    has_room(app, 0).and_then(|()| app.arrive(peer.client)).inspect_err(|refusal| {
        app.report_refused(&peer.principal, refusal);
    })
}

/// The channels, where all names and patterns are such that there can be: a status can still say so, and tells an
/// `EventSource` not to come again.
fn look_up(app: &App, topics: &Topics) -> Result<Vec<Channel>, Refusal> {
    let channels =
        topics.channels.iter().map(|name| app.hub.channel(name)).collect::<Result<_, Refusal>>()?;
    for text in &topics.patterns {
        Pattern::parse(text).map_err(|error| Refusal::new(ErrorCode::BadPattern, error.to_string()))?;
    }
    Ok(channels)
}

/// The session's side: it asks once, and is never spoken to again.
struct Listening {
    commands: Vec<Command>,
    /// It counts among its address's connections for as long as this is here.
    _here: Option<Arc<Here>>,
}

impl Protocol for Listening {
    fn begin(&mut self, port: &mut Port<'_>) {
        for command in std::mem::take(&mut self.commands) {
            // A subscription finds room always.
            let _ = port.handle(command);
        }
    }

    fn handle(&mut self, _input: &mut [u8], _port: &mut Port<'_>) -> Taken {
        Taken::All
    }
}
