//! Who may read and publish what, written by hand from the contract's section 3 and never worked out by the hub's code.
//! It knows names and payloads; who the people are is `people`'s, and how they ask is the tests'.

/// A channel of a family, or a roll-up under its own name.
pub(crate) struct Row {
    /// The family's template; empty for a name that nobody declared, and for a roll-up.
    pub(crate) template: &'static str,
    pub(crate) channel: &'static str,
    /// Who may read it.
    pub(crate) readers: &'static str,
    /// Who may publish on it.
    pub(crate) publishers: &'static str,
    /// The roll-ups that collect it.
    pub(crate) up: &'static str,
    /// A payload, in which `@` stands for what tells it from all others.
    pub(crate) data: &'static str,
}

const ALL: &str = "stranger joe ann bob olga otto operator part publisher";
const OPERATOR: &str = "operator";
const OP_PART: &str = "operator part";
const ANN: &str = "ann operator";
const ANN_PART: &str = "ann operator part";
const BOB: &str = "bob operator";
const OLGA: &str = "olga operator";
const OTTO: &str = "otto operator";

const KEY: &str = "publisher";
const KEY_PART: &str = "publisher part";

/// Families that the tests' configuration adds: one of each kind of reader, and one whose name has two keys.
pub(crate) const FAMILIES: &str = r#"
[[channel]]
template = "fx:{pair}"
type = "fx_rate"
delivery = "latest"
rolls_up_to = ["rates"]
read = "public"
[[channel]]
template = "pnl:{desk}"
type = "pnl"
rolls_up_to = ["pnls"]
read = "own"
[[channel]]
template = "basket:{basket}"
type = "basket"
read = "owner"
[[channel]]
template = "risk:{book}"
type = "risk"
delivery = "latest"
read = "operator"
[[channel]]
template = "quality:{of}"
type = "quality"
delivery = "latest"
rolls_up_to = ["qualities"]
read = "as_channel"
[[channel]]
template = "cell:{portfolio_id}:{cell}"
type = "cell"
read = "own"
"#;

const fn row(
    template: &'static str,
    channel: &'static str,
    readers: &'static str,
    publishers: &'static str,
    up: &'static str,
    data: &'static str,
) -> Row {
    Row { template, channel, readers, publishers, up, data }
}

/// The channels.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("market_data:{symbol}", "market_data:AAPL", ALL, KEY, "market_data price_updates", r#"{"symbol":"@","price":1,"change":0,"volume":1}"#),
    row("orderbook:{symbol}", "orderbook:AAPL", ALL, KEY_PART, "orderbook", r#"{"note":"@"}"#),
    row("orderbook_rows:{symbol}", "orderbook_rows:AAPL", ALL, KEY, "", r#"{"rows":[["b",1.5,2]],"meta":{"note":"@"}}"#),
    row("market_trades:{symbol}", "market_trades:AAPL", ALL, KEY, "market_trades", r#"{"symbol":"@","price":1,"quantity":1,"side":"b","time":1}"#),
    row("ohlc:{symbol}:{interval}", "ohlc:AAPL:1m", ALL, KEY, "ohlc", r#"{"symbol":"@","interval":"1m","begin":60,"open":1,"high":1,"low":1,"close":1,"volume":1}"#),
    row("trades:{portfolio_id}", "trades:p1", ANN_PART, KEY_PART, "trades", r#"{"portfolio_id":"p1","symbol":"@","trade_type":"BUY","quantity":1,"price":1}"#),
    row("trades:{portfolio_id}", "trades:p2", BOB, KEY, "trades", r#"{"portfolio_id":"p2","symbol":"@","trade_type":"BUY","quantity":1,"price":1}"#),
    row("order_status:{order_id}", "order_status:o1", OLGA, KEY, "orders", r#"{"order_id":"o1","status":"@","owner":"olga"}"#),
    row("order_status:{order_id}", "order_status:o2", OTTO, KEY, "orders", r#"{"order_id":"o2","status":"@","owner":"otto"}"#),
    row("order_status:{order_id}", "order_status:o3", OPERATOR, KEY, "orders", r#"{"order_id":"o3","status":"@"}"#),
    row("executions:{account}", "executions:a1", OLGA, KEY, "executions", r#"{"exec_id":"@","owner":"olga"}"#),
    row("balances:{account}", "balances:a1", "olga operator part", KEY_PART, "balances", r#"{"asset":"EUR","note":"@","owner":"olga"}"#),
    row("portfolio:{portfolio_id}", "portfolio:p1", ANN, KEY, "", r#"{"note":"@"}"#),
    row("positions:{portfolio_id}", "positions:p1", ANN, KEY, "", r#"{"symbol":"AAPL","note":"@"}"#),
    row("portfolio_value:{portfolio_id}", "portfolio_value:p1", ANN, KEY, "", r#"{"value":1,"currency":"@"}"#),
    row("agent_status", "agent_status", OPERATOR, KEY, "", r#"{"agent_id":"a1","status":"@"}"#),
    row("agent_result:{agent_id}", "agent_result:a1", OPERATOR, KEY, "agent_result", r#"{"agent_id":"a1","result":"@"}"#),
    row("pipeline:{pipeline_id}", "pipeline:x", OPERATOR, KEY, "pipeline", r#"{"pipeline_id":"x","stage":"@","status":"on"}"#),
    row("system_health", "system_health", OPERATOR, KEY, "", r#"{"component":"c","status":"@"}"#),
    row("metrics", "metrics", OPERATOR, KEY, "", r#"{"name":"m","value":1,"note":"@"}"#),
    row("alerts:{source}", "alerts:risk", OP_PART, KEY_PART, "alerts", r#"{"source":"risk","rule":"@","state":"raised","value":1,"threshold":1,"since":1}"#),
    row("freshness:{of}", "freshness:market_data:AAPL", ALL, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("freshness:{of}", "freshness:trades:p1", ANN_PART, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("freshness:{of}", "freshness:order_status:o1", OLGA, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("freshness:{of}", "freshness:alerts:risk", OP_PART, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("freshness:{of}", "freshness:trades", OPERATOR, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("freshness:{of}", "freshness:freshness:news", OPERATOR, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("presence:{of}", "presence:news", ALL, KEY, "", r#"{"of":"@","event":"joined","node":"n","count":1}"#),
    row("presence:{of}", "presence:trades:p2", BOB, KEY, "", r#"{"of":"@","event":"joined","node":"n","count":1}"#),
    row("notifications:{user_id}", "notifications:ann", ANN, KEY, "", r#"{"user_id":"ann","title":"@"}"#),
    row("sentiment:{symbol}", "sentiment:AAPL", ALL, KEY, "sentiment", r#"{"symbol":"@","score":1}"#),
    row("news", "news", ALL, KEY, "", r#"{"headline":"@"}"#),
    row("social", "social", ALL, KEY, "", r#"{"text":"@"}"#),
    row("quantum_signals", "quantum_signals", ALL, KEY, "", r#"{"type":"@","price":1}"#),
    row("training.status:{experiment_id}", "training.status:e1", OP_PART, KEY_PART, "training.status", r#"{"experiment_id":"e1","status":"@","namespace":"lab"}"#),
    row("training.error:{experiment_id}", "training.error:e1", OP_PART, KEY_PART, "training.error", r#"{"experiment_id":"e1","message":"@","namespace":"lab"}"#),
    row("training.log:{experiment_id}", "training.log:e1", OP_PART, KEY_PART, "training.log", r#"{"experiment_id":"e1","message":"@"}"#),
    row("training.progress:{experiment_id}", "training.progress:e1", OP_PART, KEY_PART, "training.progress", r#"{"experiment_id":"@","current_step":1,"total_steps":2,"epoch":1,"progress":50}"#),
    row("training.metrics:{experiment_id}", "training.metrics:e1", OP_PART, KEY_PART, "training.metrics", r#"{"experiment_id":"@","metrics":{}}"#),
    row("heartbeat:{source}", "heartbeat:feed", OPERATOR, KEY, "heartbeat", r#"{"source":"@"}"#),
    row("dead_letters:{source}", "dead_letters:x", OPERATOR, KEY, "dead_letters", r#"{"reason":"@","attempts":1,"first_at":1,"last_at":1,"original":{}}"#),
    row("fx:{pair}", "fx:EURUSD", ALL, KEY, "rates", r#"{"note":"@"}"#),
    row("pnl:{desk}", "pnl:d1", ANN, KEY, "pnls", r#"{"note":"@"}"#),
    row("basket:{basket}", "basket:b1", OLGA, KEY, "", r#"{"note":"@","owner":"olga"}"#),
    row("risk:{book}", "risk:eu1", OP_PART, KEY_PART, "", r#"{"note":"@"}"#),
    row("risk:{book}", "risk:us1", OPERATOR, KEY, "", r#"{"note":"@"}"#),
    row("quality:{of}", "quality:orderbook:AAPL", ALL, KEY, "qualities", r#"{"note":"@"}"#),
    row("quality:{of}", "quality:trades:p2", BOB, KEY, "qualities", r#"{"note":"@"}"#),
    row("cell:{portfolio_id}:{cell}", "cell:p1:c1", ANN, KEY, "", r#"{"note":"@"}"#),
    row("cell:{portfolio_id}:{cell}", "cell:p1:c2", OPERATOR, KEY, "", r#"{"note":"@"}"#),
    row("", "my/own.name", ALL, KEY, "", r#"{"note":"@"}"#),
    row("", "lab.status", ALL, KEY, "", r#"{"note":"@"}"#),
];

/// The roll-ups: each is a source of itself.
#[rustfmt::skip]
pub(crate) const ROLL_UPS: &[Row] = &[
    row("", "market_data", ALL, KEY, "market_data", r#"{"symbol":"@","price":1,"change":0,"volume":1}"#),
    row("", "price_updates", ALL, KEY, "price_updates", r#"{"symbol":"@","price":1,"change":0,"volume":1}"#),
    row("", "orderbook", ALL, KEY, "orderbook", r#"{"note":"@"}"#),
    row("", "market_trades", ALL, KEY, "market_trades", r#"{"symbol":"@","price":1,"quantity":1,"side":"b","time":1}"#),
    row("", "ohlc", ALL, KEY, "ohlc", r#"{"symbol":"@","interval":"1m","begin":60,"open":1,"high":1,"low":1,"close":1,"volume":1}"#),
    row("", "trades", OPERATOR, KEY, "trades", r#"{"portfolio_id":"p1","symbol":"@","trade_type":"BUY","quantity":1,"price":1}"#),
    row("", "orders", OPERATOR, KEY, "orders", r#"{"order_id":"o1","status":"@","owner":"olga"}"#),
    row("", "executions", OPERATOR, KEY, "executions", r#"{"exec_id":"@","owner":"olga"}"#),
    row("", "balances", OP_PART, KEY_PART, "balances", r#"{"asset":"EUR","note":"@","owner":"olga"}"#),
    row("", "agent_result", OPERATOR, KEY, "agent_result", r#"{"agent_id":"a1","result":"@"}"#),
    row("", "pipeline", OPERATOR, KEY, "pipeline", r#"{"pipeline_id":"x","stage":"@","status":"on"}"#),
    row("", "alerts", OP_PART, KEY_PART, "alerts", r#"{"source":"risk","rule":"@","state":"raised","value":1,"threshold":1,"since":1}"#),
    row("", "freshness", ALL, KEY, "freshness", r#"{"of":"@","state":"fresh","age_ms":1}"#),
    row("", "sentiment", ALL, KEY, "sentiment", r#"{"symbol":"@","score":1}"#),
    row("", "training.status", OP_PART, KEY_PART, "training.status", r#"{"experiment_id":"e1","status":"@"}"#),
    row("", "training.error", OP_PART, KEY_PART, "training.error", r#"{"experiment_id":"e1","message":"@"}"#),
    row("", "training.log", OP_PART, KEY_PART, "training.log", r#"{"experiment_id":"e1","message":"@"}"#),
    row("", "training.progress", OP_PART, KEY_PART, "training.progress", r#"{"experiment_id":"@","current_step":1,"total_steps":2,"epoch":1,"progress":50}"#),
    row("", "training.metrics", OP_PART, KEY_PART, "training.metrics", r#"{"experiment_id":"@","metrics":{}}"#),
    row("", "heartbeat", OPERATOR, KEY, "heartbeat", r#"{"source":"@"}"#),
    row("", "dead_letters", OPERATOR, KEY, "dead_letters", r#"{"reason":"@","attempts":1,"first_at":1,"last_at":1,"original":{}}"#),
    row("", "rates", ALL, KEY, "rates", r#"{"note":"@"}"#),
    row("", "pnls", OPERATOR, KEY, "pnls", r#"{"note":"@"}"#),
    row("", "qualities", ALL, KEY, "qualities", r#"{"note":"@"}"#),
];

/// Whether a list of names has this one.
pub(crate) fn has(list: &str, name: &str) -> bool {
    list.split(' ').any(|one| one == name)
}

impl Row {
    pub(crate) fn is_for(&self, who: &str) -> bool {
        has(self.readers, who)
    }

    pub(crate) fn is_published_by(&self, who: &str) -> bool {
        has(self.publishers, who)
    }

    pub(crate) fn data_with(&self, mark: &str) -> String {
        self.data.replace('@', mark)
    }

    /// Whether somebody hears it who asks for roll-ups.
    pub(crate) fn is_rolled_up_for(&self, who: &str) -> bool {
        let open = |up: &&Row| has(self.up, up.channel) && up.is_for(who);
        self.is_for(who) && ROLL_UPS.iter().any(|up| open(&up))
    }

    /// The route that makes its name out of the family and its keys, if it has one.
    pub(crate) fn broadcast(&self) -> Option<String> {
        let (family, keys) = self.template.split_once(':').unwrap_or((self.template, ""));
        let values = self.channel.split_once(':').map_or("", |(_, values)| values);
        let names: Vec<&str> = keys.split(':').filter(|name| !name.is_empty()).collect();
        let mut values: Vec<&str> = values.rsplitn(names.len().max(1), ':').collect();
        values.reverse();
        let pairs = names
            .iter()
            .zip(values)
            .map(|(name, value)| format!("{}={value}", name.trim_matches(['{', '}'])));
        let query: Vec<String> = pairs.collect();
        (!family.is_empty()).then(|| format!("/broadcast/{family}?{}", query.join("&")))
    }
}

/// All of them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(ROLL_UPS)
}
