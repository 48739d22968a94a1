//! `tapeline sub`: prints what channels say, and goes on where it stopped when the connection is lost.
//! `topic` knows what was asked for and how far it got, `frame` what came, `wait` how long to stay away.

mod frame;
mod show;
mod topic;
mod wait;

use std::time::Duration;

use anyhow::bail;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::json;
use tapeline_schema::{CloseCode, Delivery, ErrorCode, Retry};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::{Output, note};
use super::socket::{Socket, Unconnected, connect};
use frame::Frame;
use topic::{Since, Topics, Verdict};
use wait::Wait;

/// After this much silence the hub is asked for a sign of life, after twice as much it is taken for gone.
const SILENCE: Duration = Duration::from_secs(20);

/// Print what channels say.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  tapeline sub market_data:AAPL
  tapeline sub 'training.*' trades:portfolio-123 --json | jq .data
  tapeline sub trades:portfolio-123 --since 41@k3")]
pub(crate) struct Sub {
    /// Channels, roll-ups, or patterns such as 'training.*'; without any, everything.
    #[arg(value_name = "CHANNEL|PATTERN")]
    names: Vec<String>,
    /// Print every frame as it came, one a line.
    #[arg(long)]
    json: bool,
    /// Begin after this place; 0 is the oldest message kept.
    #[arg(long, value_name = "OFFSET[@EPOCH]")]
    since: Option<Since>,
    /// Another delivery than the family's: latest, table or every.
    #[arg(long, value_name = "DELIVERY", value_parser = delivery)]
    delivery: Option<Delivery>,
    /// At most so many messages a second from each channel, the newest ones.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_rate: Option<u32>,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Where the hub is.
    #[arg(long, default_value = "ws://127.0.0.1:8000/ws")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
}

fn delivery(text: &str) -> Result<Delivery, String> {
    [Delivery::Latest, Delivery::Table, Delivery::Every]
        .into_iter()
        .find(|delivery| delivery.name() == text)
        .ok_or_else(|| "not one of latest, table, every".to_string())
}

/// What is to be done after a frame.
enum Next {
    /// Hear the next one.
    Hear,
    /// Say this first.
    Say(String),
    /// That was the last one wanted.
    End,
}

/// Why a connection is over.
enum Ended {
    /// All is printed that was asked for.
    Done,
    /// To be taken up again.
    Lost(String),
}

struct Session {
    hub: HubUrl,
    topics: Topics,
    json: bool,
    /// Messages still to be printed.
    left: u64,
    wait: Wait,
    out: Output,
}

impl Sub {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let topics = Topics::new(&self.names, self.since.as_ref(), self.delivery, self.max_rate)?;
        let (hub, json, left) = (self.url.with(&self.access), self.json, self.count.unwrap_or(u64::MAX));
        let mut session = Session { hub, topics, json, left, wait: Wait::default(), out: Output::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                ended = session.run() => ended,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        })?;
        session.out.flush()
    }
}

impl Session {
    async fn run(&mut self) -> anyhow::Result<()> {
        let first = connect(&self.hub).await;
        let mut socket = first.map_err(|unconnected| unconnected.into_error(&self.hub))?;
        loop {
            match self.hear(&mut socket).await? {
                Ended::Done => {
                    self.out.flush()?;
                    // The hub learns of the end either way.
                    let _ = socket.close(None).await;
                    return Ok(());
                }
                Ended::Lost(why) => {
                    self.out.flush()?;
                    socket = self.connect_again(why).await?;
                }
            }
        }
    }

    async fn connect_again(&mut self, mut why: String) -> anyhow::Result<Socket> {
        loop {
            let wait = self.wait.next();
            note(&format!("{why}; trying again in {:.1} s", wait.as_secs_f32()));
            tokio::time::sleep(wait).await;
            match connect(&self.hub).await {
                Ok(socket) => {
                    note(&format!("connected to {} again; {}", self.hub, self.topics.resume_sentence()));
                    return Ok(socket);
                }
                Err(Unconnected::NoAnswer) => why = format!("no hub answers at {}", self.hub),
                // The file may hold a good one by and by.
                Err(Unconnected::Unauthorized(error)) if self.hub.access().can_change() => {
                    why = format!("{error:#}");
                }
                Err(refused) => return Err(refused.into_error(&self.hub)),
            }
        }
    }

    /// Subscribes and prints until the connection or the wish ends.
    async fn hear(&mut self, socket: &mut Socket) -> anyhow::Result<Ended> {
        for request in self.topics.requests() {
            if let Err(error) = socket.feed(Message::Text(request.into())).await {
                return lost(&error);
            }
        }
        if let Err(error) = socket.flush().await {
            return lost(&error);
        }
        loop {
            // What is there already is printed before anybody is made to wait for a flush.
            let next = match socket.next().now_or_never() {
                Some(next) => next,
                None => {
                    self.out.flush()?;
                    match next_or_silence(socket).await {
                        Some(next) => next,
                        None => return Ok(Ended::Lost(format!("{} has gone silent", self.hub))),
                    }
                }
            };
            match next {
                Some(Ok(Message::Text(text))) => match self.on_text(&text)? {
                    Next::Hear => {}
                    Next::Say(frame) => {
                        if let Err(error) = socket.send(Message::Text(frame.into())).await {
                            return lost(&error);
                        }
                    }
                    Next::End => return Ok(Ended::Done),
                },
                Some(Ok(Message::Close(close))) => {
                    let close = close.map(|close| (u16::from(close.code), close.reason));
                    return self.closed(close);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return lost(&error),
                None => return self.closed(None),
            }
        }
    }

    fn on_text(&mut self, text: &str) -> anyhow::Result<Next> {
        self.wait.reset();
        let Some(frame) = Frame::read(text) else {
            note(&format!("a frame is not a hub's: {}", text.chars().take(200).collect::<String>()));
            return Ok(Next::Hear);
        };
        match frame {
            Frame::Message(message) => {
                if !self.topics.note_message(&message) {
                    return Ok(Next::Hear);
                }
                let line = if self.json { text.into() } else { show::message(&message) };
                self.out.line(&line)?;
                self.left -= 1;
                Ok(if self.left == 0 { Next::End } else { Next::Hear })
            }
            Frame::Said(said) => {
                if self.json {
                    self.out.line(text)?;
                } else if let Some(sentence) = show::sentence(&said) {
                    // In order with what is printed before it.
                    self.out.flush()?;
                    note(&sentence);
                }
                if said.kind() == "reconnect" {
                    self.wait.at_least(Duration::from_millis(said.number("after_ms").unwrap_or_default()));
                }
                match self.topics.note_said(&said) {
                    Verdict::Goes if said.kind() == "token_expiring" => Ok(self.another_token()),
                    Verdict::Goes => Ok(Next::Hear),
                    Verdict::NothingToHear => {
                        self.out.flush()?;
                        let code = said.text("code").unwrap_or_default();
                        let is_about_token = code == ErrorCode::InvalidToken.name()
                            || (code == ErrorCode::Forbidden.name() && !self.hub.access().is_given());
                        match is_about_token {
                            true => {
                                bail!("the hub refused every subscription: {}", self.hub.access().remedy())
                            }
                            false => bail!("the hub refused every subscription"),
                        }
                    }
                }
            }
        }
    }

    /// The file holds another by now, or the hub says that it knows this one.
    fn another_token(&self) -> Next {
        let access = self.hub.access();
        if !access.can_change() {
            note("the token cannot be renewed here; with --token-file the file is read again");
            return Next::Hear;
        }
        match access.token() {
            Ok(token) => Next::Say(json!({ "action": "token", "token": token }).to_string()),
            Err(error) => {
                note(&format!("{error:#}; when the token has ended, the file is read again"));
                Next::Hear
            }
        }
    }

    fn closed(&self, close: Option<(u16, Utf8Bytes)>) -> anyhow::Result<Ended> {
        let Some((number, reason)) = close else {
            return Ok(Ended::Lost(format!("the connection to {} was lost", self.hub)));
        };
        let code = CloseCode::from_number(number);
        let name = code.map_or_else(|| number.to_string(), |code| code.to_string());
        let sentence = format!("the hub closed the connection: {name}, {reason}");
        match code.map(CloseCode::retry) {
            Some(Retry::Never) => bail!(sentence),
            _ => Ok(Ended::Lost(sentence)),
        }
    }
}

fn lost(error: &Error) -> anyhow::Result<Ended> {
    match error {
        Error::Capacity(_) | Error::Utf8(_) => bail!("the hub sent what cannot be read: {error}"),
        error => Ok(Ended::Lost(format!("the connection was lost ({error})"))),
    }
}

type Heard = Option<Result<Message, Error>>;

/// `None` after a silence in which not even a ping was answered.
async fn next_or_silence(socket: &mut Socket) -> Option<Heard> {
    if let Ok(next) = tokio::time::timeout(SILENCE, socket.next()).await {
        return Some(next);
    }
    if let Err(error) = socket.send(Message::Ping(Default::default())).await {
        return Some(Some(Err(error)));
    }
    tokio::time::timeout(SILENCE, socket.next()).await.ok()
}
