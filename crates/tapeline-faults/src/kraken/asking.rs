//! What the stand-in answers to requests, one answer for each symbol, as the venue does: what it grants begins with a
//! snapshot right after the answer, what it refuses is refused in the venue's words.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::candles::INTERVALS;
use super::market::Pair;
use super::venue::{Subscription, Venue, candles, message, numbered};

/// Depths of books that may be asked for.
const DEPTHS: [u64; 5] = [10, 25, 100, 500, 1_000];

/// One thing asked for.
struct Wish<'a> {
    method: &'a str,
    channel: &'a str,
    symbol: Option<&'a str>,
    params: &'a Value,
    req_id: &'a Value,
    time_in: Timestamp,
}

impl Venue {
    /// A connection has sent this text.
    pub(super) fn on_text(&mut self, id: u64, text: &str) {
        let Some(line) = self.lines.get(&id) else { return };
        let json: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in a request: {text}"));
        self.asked(id, line.is_private, json.clone());
        if self.exceeded > 0 {
            self.exceeded -= 1;
            return self.say(id, r#"{"Error":"Exceeded msg rate"}"#);
        }
        let time_in = Timestamp::now();
        let (method, params, req_id) =
            (json["method"].as_str().unwrap_or_default(), &json["params"], &json["req_id"]);
        let channel = params["channel"].as_str().unwrap_or_default();
        let wish = Wish { method, channel, symbol: None, params, req_id, time_in };
        match method {
            "ping" if params.is_object() => {
                self.fail(id, &wish, "Unsupported field: 'params' for the given msg type: ping");
            }
            "ping" => {
                let answer = stamped(json!({"method": "pong"}), &wish);
                self.say(id, &answer);
            }
            "subscribe" | "unsubscribe" => match params["symbol"].as_array() {
                Some(symbols) => {
                    for symbol in symbols {
                        self.wish(id, &Wish { symbol: Some(symbol.as_str().unwrap_or_default()), ..wish });
                    }
                }
                None => self.wish(id, &wish),
            },
            _ => self.fail(id, &wish, "Unsupported event"),
        }
    }

    fn wish(&mut self, id: u64, wish: &Wish<'_>) {
        let is_end = wish.method == "unsubscribe";
        let outcome = if is_end { self.unsubscribe(id, wish) } else { self.subscribe(id, wish) };
        match outcome {
            Err(error) => self.fail(id, wish, &error),
            Ok(result) => {
                let answer = stamped(json!({"method": wish.method, "result": result, "success": true}), wish);
                self.say(id, &answer);
                if !is_end && wish.params["snapshot"] != false {
                    self.snapshot(id, wish);
                }
            }
        }
    }

    /// What is wrong with a wish, and the option that it comes with.
    fn check(&self, id: u64, wish: &Wish<'_>) -> Result<Option<u64>, String> {
        let is_private = self.lines.get(&id).is_some_and(|line| line.is_private);
        let number = |name: &str, default| wish.params[name].as_u64().unwrap_or(default);
        match wish.channel {
            "executions" | "balances" if !is_private => {
                return Err(
                    "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
                        .into(),
                );
            }
            "executions" | "balances" => {
                let token = wish.params["token"].as_str().unwrap_or_default();
                return if self.account.knows(token) { Ok(None) } else { Err("Token(s) not found".into()) };
            }
            "instrument" | "status" | "heartbeat" => return Ok(None),
            "ticker" | "book" | "trade" | "ohlc" if is_private => {
                let told =
                    "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com";
                return Err(told.into());
            }
            "ticker" | "book" | "trade" | "ohlc" => {}
            _ => return Err("Unsupported event".into()),
        }
        let symbol = wish.symbol.ok_or("Symbol(s) not found")?;
        if !self.pairs.iter().any(|pair| pair.symbol == symbol) {
            return Err(format!("Currency pair not supported {symbol}"));
        }
        match wish.channel {
            "book" if !DEPTHS.contains(&number("depth", 10)) => {
                Err("Subscription depth not supported".into())
            }
            "book" => Ok(Some(number("depth", 10))),
            "ohlc" if !INTERVALS.contains(&number("interval", 1)) => {
                Err("Subscription ohlc interval not supported".into())
            }
            "ohlc" => Ok(Some(number("interval", 1))),
            _ => Ok(None),
        }
    }

    fn subscribe(&mut self, id: u64, wish: &Wish<'_>) -> Result<Value, String> {
        if let Some(at) = self.refuses.iter().position(|refusal| refusal.channel == wish.channel) {
            let error = self.refuses[at].error.clone();
            self.refuses[at].left -= 1;
            self.refuses.retain(|refusal| refusal.left > 0);
            return Err(error);
        }
        let option = self.check(id, wish)?;
        let line = self.lines.get_mut(&id).ok_or("gone")?;
        let symbol = wish.symbol.map(str::to_string);
        let is_same = |known: &Subscription| known.channel == wish.channel && known.symbol == symbol;
        if line.subscriptions.iter().any(|known| is_same(known) && known.option == option) {
            return Err("Already subscribed".into());
        }
        line.subscriptions.push(Subscription {
            channel: wish.channel.to_string(),
            symbol,
            option,
            sequence: 0,
        });
        let mut result = named(wish, option);
        result["snapshot"] = (wish.params["snapshot"] != false).into();
        if wish.channel == "executions" {
            result["maxratecount"] = 180.into();
        }
        Ok(result)
    }

    fn unsubscribe(&mut self, id: u64, wish: &Wish<'_>) -> Result<Value, String> {
        let option = match wish.channel {
            "executions" | "balances" => None,
            _ => self.check(id, wish)?,
        };
        let line = self.lines.get_mut(&id).ok_or("gone")?;
        let before = line.subscriptions.len();
        let is_it = |known: &Subscription| {
            known.channel == wish.channel && known.symbol.as_deref() == wish.symbol && known.option == option
        };
        line.subscriptions.retain(|known| !is_it(known));
        if line.subscriptions.len() == before {
            return Err("Subscription Not Found".into());
        }
        Ok(named(wish, option))
    }

    fn snapshot(&mut self, id: u64, wish: &Wish<'_>) {
        let number = |name: &str, default| wish.params[name].as_u64().unwrap_or(default);
        let symbol = wish.symbol.unwrap_or_default();
        let text = match wish.channel {
            "book" => Some(self.book_snapshot(symbol, usize::try_from(number("depth", 10)).unwrap_or(10))),
            "ticker" => {
                self.tickers.get(symbol).map(|data| message("ticker", "snapshot", std::slice::from_ref(data)))
            }
            "trade" if wish.params["snapshot"] == true => {
                Some(message("trade", "snapshot", &self.last_trades(symbol)))
            }
            "ohlc" => Some(candles("snapshot", &self.candles.all(symbol, number("interval", 1)))),
            "instrument" => Some(instruments(&self.pairs)),
            "executions" => {
                Some(numbered(wish.channel, "snapshot", &self.account.executions(wish.params), 1))
            }
            "balances" => Some(numbered(wish.channel, "snapshot", &self.account.balances(), 1)),
            _ => None,
        };
        if let Some(text) = text {
            self.say(id, &text);
        }
        if let Some(line) = self.lines.get_mut(&id) {
            let numbered =
                |known: &&mut Subscription| known.channel == wish.channel && known.symbol.is_none();
            line.subscriptions.iter_mut().filter(numbered).for_each(|known| known.sequence = 1);
        }
    }

    fn fail(&mut self, id: u64, wish: &Wish<'_>, error: &str) {
        let mut answer = json!({"error": error, "method": wish.method, "success": false});
        if let Some(symbol) = wish.symbol {
            answer["symbol"] = symbol.into();
        }
        let answer = stamped(answer, wish);
        self.say(id, &answer);
    }
}

/// An answer with what every answer has.
fn stamped(mut answer: Value, wish: &Wish<'_>) -> String {
    if !wish.req_id.is_null() {
        answer["req_id"] = wish.req_id.clone();
    }
    answer["time_in"] = format!("{:.6}", wish.time_in).into();
    answer["time_out"] = format!("{:.6}", Timestamp::now()).into();
    answer.to_string()
}

/// What was granted.
fn named(wish: &Wish<'_>, option: Option<u64>) -> Value {
    let mut result = json!({"channel": wish.channel});
    if let Some(symbol) = wish.symbol {
        result["symbol"] = symbol.into();
    }
    if let Some(option) = option {
        result[if wish.channel == "book" { "depth" } else { "interval" }] = option.into();
    }
    result
}

fn instruments(pairs: &[Pair]) -> String {
    let pair = |pair: &Pair| {
        let (base, quote) = pair.symbol.split_once('/').unwrap_or((&pair.symbol, ""));
        json!({
            "symbol": pair.symbol, "base": base, "quote": quote, "status": "online",
            "price_precision": pair.price_places, "qty_precision": pair.qty_places, "cost_precision": 5,
            "marginable": false, "has_index": true, "cost_min": 0.5, "qty_min": 0.0001,
            "price_increment": 0.1_f64.powi(i32::try_from(pair.price_places).unwrap_or(0)), "qty_increment": 0.000_000_01,
        })
    };
    let pairs: Vec<Value> = pairs.iter().map(pair).collect();
    json!({"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}).to_string()
}
