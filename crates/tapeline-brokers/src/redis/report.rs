//! What a Redis is like and who else uses it, for people: facts, asked for in three steps. What they mean is said by who
//! shows them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_core::Directory;
use tapeline_schema::ops::{BrokerReport, RedisClient, RedisReport};

use super::link::{Command, Link, LinkError, Patience, Value};
use super::registry::NODES;

/// Round trips of which the shortest counts.
const ROUNDS: u32 = 3;
/// Clients and channels that are named.
const CLIENTS: usize = 20;
const CHANNELS: usize = 50;
/// How long one step may take.
const STEP: Duration = Duration::from_millis(500);
/// What the connections of hubs are called.
const HUB: &str = "tapeline-";

/// A script that does once what publishing and registering do, on a key that nobody else has, and answers what it may not.
const TRIAL: &str = "local key, denied = KEYS[1], {}
local function try(name, ...)
  local answer = redis.pcall(name, ...)
  if type(answer) == 'table' and answer.err then denied[#denied + 1] = name .. ': ' .. answer.err end
end
try('SET', key, '1', 'PX', 1000) try('GET', key) try('UNLINK', key)
try('HSET', key, 'a', '1') try('HGET', key, 'a') try('HINCRBY', key, 'a', 1) try('PEXPIRE', key, 1000) try('UNLINK', key)
try('ZADD', key, 1, 'a') try('ZRANGEBYSCORE', key, 0, 1) try('UNLINK', key)
try('XADD', key, '1-1', 'a', '1') try('XRANGE', key, '-', '+') try('XTRIM', key, 'MAXLEN', 0) try('UNLINK', key)
try('PUBLISH', key, '1')
return denied";

type Answer = Box<dyn FnOnce(BrokerReport) + Send>;

/// Asks Redis about itself and answers what it says.
pub(super) fn make(link: &Arc<Link>, directory: &Arc<Directory>, answer: Answer) {
    let report = RedisReport { address: link.address().to_string(), ..RedisReport::default() };
    let asking = Asking { link: link.clone(), directory: directory.clone(), answer, report };
    asking.measure(ROUNDS);
}

/// A report that is being made.
struct Asking {
    link: Arc<Link>,
    directory: Arc<Directory>,
    answer: Answer,
    report: RedisReport,
}

impl Asking {
    fn finish(self) {
        (self.answer)(BrokerReport { redis: Some(self.report), ..BrokerReport::default() });
    }

    fn fail(mut self, error: &LinkError) {
        self.report.unreachable = Some(error.to_string());
        self.finish();
    }

    fn measure(mut self, rounds: u32) {
        let (link, asked) = (self.link.clone(), Instant::now());
        link.ask(&Command::new("PING"), Patience::For(STEP), move |pong| {
            if let Err(error) = pong {
                return self.fail(&error);
            }
            let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
            let best = self.report.round_trip_us;
            self.report.round_trip_us = if best == 0 { took } else { best.min(took) };
            match rounds {
                0 | 1 => self.look(),
                more => self.measure(more - 1),
            }
        });
    }

    fn look(mut self) {
        let config = |name: &str| Command::new("CONFIG GET").arg(name);
        let commands = [
            Command::new("EVAL").arg(TRIAL).number(1).arg("tapeline:{doctor}"),
            // No connection has this number.
            Command::new("CLIENT KILL ID").number(i64::MAX.unsigned_abs()),
            Command::new("INFO"),
            config("maxmemory-policy"),
            config("client-output-buffer-limit"),
            config("save"),
            Command::new("CLIENT LIST"),
            Command::new("ZRANGE").arg(NODES).number(0).arg("-1").arg("WITHSCORES"),
            Command::new("PUBSUB CHANNELS"),
        ];
        let link = self.link.clone();
        let told = move |values: Result<Vec<Value>, LinkError>| match values {
            Ok(values) => {
                let channels = self.take(&values);
                self.look_at(&channels);
            }
            Err(error) => self.fail(&error),
        };
        link.ask_all(&commands, Patience::For(STEP), Box::new(told));
    }

    /// Takes in what was answered; what is left are channels of the catalogue by their plain names.
    fn take(&mut self, values: &[Value]) -> Vec<String> {
        let [trial, kill, info, policy, buffers, save, clients, nodes, channels] = values else {
            return Vec::new();
        };
        let report = &mut self.report;
        let text = |error: &str| error.to_string();
        let denied = trial.parts().iter().filter_map(Value::text);
        report.denied = trial.error().into_iter().chain(denied).map(text).collect();
        report.denied.extend(kill.error().map(|error| format!("CLIENT KILL: {error}")));
        let looks = [info, policy, buffers, save, clients, nodes, channels];
        report.unseen = looks.iter().filter_map(|look| look.error()).map(text).collect();
        let info = lines(info);
        let number = |name: &str| info.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let has_log = number("aof_enabled") == 1;
        report.version = info.get("redis_version").copied().unwrap_or_default().to_string();
        (report.used_memory, report.maxmemory) = (number("used_memory"), number("maxmemory"));
        report.maxmemory_policy =
            setting(policy).or(info.get("maxmemory_policy").copied()).unwrap_or_default().to_string();
        report.persistent = setting(save).map(|save| has_log || !save.is_empty()).or(has_log.then_some(true));
        report.pubsub_limit = setting(buffers).and_then(pubsub_limit);
        (report.listeners, report.publishers) = strangers(clients.text().unwrap_or_default());
        let now_ms = number("server_time_usec") / 1_000;
        let expiries = nodes.parts().iter().skip(1).step_by(2);
        report.hubs = expiries.filter(|until| until.number().is_some_and(|ms| ms > now_ms)).count() as u64;
        let catalog = self.directory.catalog();
        let names = channels.parts().iter().filter_map(Value::text);
        let declared = names.filter(|name| catalog.resolve(name).declared);
        declared.take(CHANNELS).map(str::to_string).collect()
    }

    fn look_at(mut self, channels: &[String]) {
        if channels.is_empty() {
            return self.finish();
        }
        let link = self.link.clone();
        let command = Command::new("PUBSUB NUMSUB").args(channels);
        link.ask(&command, Patience::For(STEP), move |told| {
            let told = told.unwrap_or(Value::Nil);
            let counts = told.parts().chunks(2).filter_map(|pair| match pair {
                [name, count] => Some((name.text()?.to_string(), count.number()?)),
                _ => None,
            });
            self.report.plain_names = counts.collect::<BTreeMap<_, _>>();
            self.finish();
        });
    }
}

fn lines(info: &Value) -> HashMap<&str, &str> {
    let text = info.text().unwrap_or_default();
    text.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

/// The value of one setting.
fn setting(answer: &Value) -> Option<&str> {
    answer.part(1).and_then(Value::text)
}

/// The hard limit in `normal 0 0 0 slave … pubsub 33554432 8388608 60`.
fn pubsub_limit(buffers: &str) -> Option<u64> {
    buffers.split(' ').skip_while(|word| *word != "pubsub").nth(1)?.parse().ok()
}

/// Who else listens and publishes, of the lines of `CLIENT LIST`.
fn strangers(list: &str) -> (Vec<RedisClient>, Vec<RedisClient>) {
    let (mut listeners, mut publishers) = (Vec::new(), Vec::new());
    for line in list.lines() {
        let fields: HashMap<&str, &str> = line.split(' ').filter_map(|field| field.split_once('=')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        if field("name").starts_with(HUB) {
            continue;
        }
        let count = |name: &str| field(name).parse::<u64>().unwrap_or(0);
        let client = RedisClient {
            name: field("name").to_string(),
            address: field("addr").to_string(),
            subscriptions: count("sub") + count("psub"),
        };
        if client.subscriptions > 0 && listeners.len() < CLIENTS {
            listeners.push(client);
        } else if field("cmd") == "publish" && publishers.len() < CLIENTS {
            publishers.push(client);
        }
    }
    (listeners, publishers)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
