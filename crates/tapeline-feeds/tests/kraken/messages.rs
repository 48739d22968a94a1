//! Every captured message, and what it becomes.

use tapeline_core::feed::UpdateKind;
use tapeline_feeds::kraken::message::{Answer, Balances, Message, Unreadable};

use super::data::{captured, recording};

fn letter(kind: UpdateKind) -> &'static str {
    match kind {
        UpdateKind::Snapshot => "snapshot",
        UpdateKind::Change => "update",
    }
}

/// An answer in a few words.
fn answered(answer: &Answer<'_>) -> String {
    let id = answer.req_id.map_or("-".into(), |id| id.to_string());
    let (method, symbol) = (&answer.method, answer.symbol.as_deref().unwrap_or("-"));
    match &answer.outcome {
        Ok(accepted) => {
            let channel = accepted.channel.as_deref().unwrap_or("-");
            let option = accepted.depth.map(|depth| format!(" depth={depth}")).unwrap_or_default();
            let minutes = accepted.interval.map(|minutes| format!(" interval={minutes}")).unwrap_or_default();
            let rate = accepted.maxratecount.map(|rate| format!(" maxratecount={rate}")).unwrap_or_default();
            let warnings = accepted.warnings.len();
            format!("{method}#{id} ok {channel} {symbol}{option}{minutes}{rate} warnings={warnings}")
        }
        Err(error) => format!("{method}#{id} failed {symbol}: {error}"),
    }
}

/// In a few words.
fn said(text: &str) -> String {
    match Message::parse(text) {
        Ok(Message::Answer(answer)) => answered(&answer),
        Ok(Message::Pong { req_id }) => format!("pong {req_id:?}"),
        Ok(Message::Error(error)) => format!("error {error}"),
        Ok(Message::Heartbeat) => "heartbeat".into(),
        Ok(Message::Status(status)) => format!("status {}", status.system),
        Ok(Message::Book(book)) => {
            format!("book {} {} {} rows {}", letter(book.kind), book.symbol, book.rows.len(), book.checksum)
        }
        Ok(Message::Ticker(items)) => {
            let each = items.items.iter().map(|item| item.fields.symbol.to_string());
            format!("ticker {} {}", letter(items.kind), each.collect::<Vec<_>>().join(" "))
        }
        Ok(Message::Trade(items)) => {
            let each =
                items.items.iter().map(|item| format!("{}#{}", item.fields.symbol, item.fields.trade_id));
            format!("trade {} {}", letter(items.kind), each.collect::<Vec<_>>().join(" "))
        }
        Ok(Message::Ohlc(items)) => {
            let begin = |text: Option<&str>| text.map_or("-".into(), |text| text[11..16].to_owned());
            let each = items.items.iter().map(|item| {
                let candle = &item.fields;
                format!("{}/{}@{}", candle.symbol, candle.interval, begin(candle.interval_begin.as_deref()))
            });
            format!("ohlc {} {}", letter(items.kind), each.collect::<Vec<_>>().join(" "))
        }
        Ok(Message::Instrument(all)) => {
            let pairs = all.pairs.iter().map(|item| {
                let pair = &item.fields;
                format!("{}:{:?}/{:?}", pair.symbol, pair.price_precision, pair.qty_precision)
            });
            let assets = all.assets.iter().map(|item| item.fields.id.to_string());
            let all_of_it = assets.chain(pairs).collect::<Vec<_>>().join(" ");
            format!("instrument {} {all_of_it}", letter(all.kind))
        }
        Ok(Message::Executions(items)) => {
            let each = items.items.iter().map(|item| {
                let fields = &item.fields;
                format!(
                    "{}={}",
                    fields.exec_id.as_ref().unwrap_or(&fields.order_id),
                    fields.exec_type.as_ref().unwrap()
                )
            });
            let each = each.collect::<Vec<_>>().join(" ");
            format!("executions {} #{} {each}", letter(items.kind), items.sequence.unwrap())
        }
        Ok(Message::Balances(Balances::Snapshot(items))) => {
            let each = items.items.iter().map(|item| item.fields.asset.to_string());
            format!("balances snapshot #{} {}", items.sequence.unwrap(), each.collect::<Vec<_>>().join(" "))
        }
        Ok(Message::Balances(Balances::Change(items))) => {
            let each =
                items.items.iter().map(|item| format!("{}:{}", item.fields.ledger_id, item.fields.asset));
            format!("balances update #{} {}", items.sequence.unwrap(), each.collect::<Vec<_>>().join(" "))
        }
        Ok(Message::Other { name }) => format!("other {name}"),
        Err(error) => format!("unreadable: {error}"),
    }
}

fn each_said(text: &str) -> Vec<String> {
    text.lines().map(said).collect()
}

#[test]
fn each_of_the_39_messages_becomes_what_it_is() {
    let text = captured("one-of-every-kind.jsonl");
    if let Some(recorded) = recording("kraken-v2-kraken-async-rs/messages.jsonl") {
        assert_eq!(recorded, text, "the piece beside the tests is all of it");
    }
    assert_eq!(each_said(&text), ONE_OF_EVERY_KIND);
}

#[test]
fn each_message_in_the_documents_form_becomes_what_it_is() {
    let Some(text) = recording("kraken-v2-kraken-net/messages.jsonl") else { return };
    assert_eq!(each_said(&text), AS_DOCUMENTED);
}

#[test]
fn the_raw_text_of_an_element_is_the_one_that_came() {
    let text = captured("one-of-every-kind.jsonl");
    let mut elements = 0;
    for line in text.lines() {
        let (raw, items) = match Message::parse(line) {
            Ok(Message::Ticker(items)) => (items.raw, items.items.iter().map(|item| item.raw).collect()),
            Ok(Message::Trade(items)) => (items.raw, items.items.iter().map(|item| item.raw).collect()),
            Ok(Message::Executions(items)) => (items.raw, items.items.iter().map(|item| item.raw).collect()),
            Ok(Message::Balances(Balances::Change(items))) => {
                (items.raw, items.items.iter().map(|item| item.raw).collect())
            }
            _ => ("", Vec::new()),
        };
        assert!(line.contains(raw));
        if !raw.is_empty() {
            assert_eq!(raw, format!("[{}]", items.join(",")));
        }
        elements += items.len();
    }
    assert_eq!(elements, 1 + 4 + 6 + 1);
}

/// Lines of version 1 behind the second in which they came.
fn refuses_version_1(text: &str) -> usize {
    for line in text.lines() {
        let (_, message) = line.split_once(": ").unwrap();
        match Message::parse(message) {
            Err(error @ (Unreadable::Stray | Unreadable::Foreign)) => assert!(error.is_stray()),
            other => panic!("{line}: {other:?}"),
        }
    }
    text.lines().count()
}

#[test]
fn version_1_is_refused_and_does_no_harm() {
    assert_eq!(refuses_version_1(&captured("version-1.txt")), 9);
    let mut lines = 0;
    for kind in ["book-1000", "ticker", "trade"] {
        let Some(text) = recording(&format!("kraken-v1-cryptofeed/{kind}-v1-raw-5pairs.txt")) else { return };
        lines += refuses_version_1(&text);
    }
    assert!(lines > 2_400, "{lines}");
}

const ONE_OF_EVERY_KIND: &[&str] = &[
    "pong Some(1)",
    "subscribe#0 ok executions - maxratecount=180 warnings=4",
    "subscribe#10312008 ok balances - warnings=0",
    "subscribe#42 ok ticker BTC/USD warnings=0",
    "subscribe#11 ok book BTC/USD depth=10 warnings=0",
    "subscribe#99 ok level3 BTC/USD warnings=0",
    "subscribe#121 ok ohlc ETH/USD interval=60 warnings=1",
    "subscribe#0 ok trade BTC/USD warnings=0",
    "subscribe#0 ok instrument - warnings=1",
    "heartbeat",
    "status online",
    "ping#0 failed -: Unsupported field: 'params' for the given msg type: ping",
    "subscribe#0 failed -: Unsupported event",
    "add_order#7 failed -: Cash_order_qty field must be a number_float",
    "add_order#0 failed -: EGeneral:Permission denied",
    "ticker snapshot BTC/USD",
    "book snapshot BTC/USD 10 rows 2330500275",
    "other level3",
    "ohlc snapshot ETH/USD/1@11:12 ETH/USD/1@11:13",
    "trade snapshot BTC/USD#70635251 BTC/USD#70635252",
    "trade update BTC/USD#70635299 BTC/USD#70635300",
    "instrument snapshot USD EUR ETH EUR/USD:Some(5)/Some(8) ETH/BTC:Some(5)/Some(8)",
    "add_order#0 ok - - warnings=0",
    "amend_order#0 ok - - warnings=0",
    "other amend_order",
    "amend_order#0 failed -: Limit_price field must be a number_float",
    "cancel_order#0 ok - - warnings=0",
    "cancel_order#0 ok - - warnings=0",
    "cancel_all#0 ok - - warnings=0",
    "cancel_all_orders_after#0 ok - - warnings=0",
    "batch_cancel#0 ok - - warnings=0",
    "executions snapshot #1 B1Y0D9-6JIJG-W1IB7L=trade 0CVSSH-KVM0J-TCXLSQ=trade QEP2P0-DVAJN-VF1UTF=trade NG6PUE-C7MXN-CFCAMC=trade",
    "executions update #143 KIUEL4-G3PWU-HOJTYU=canceled",
    "executions update #148 7J91XK-XMFEL-348VPM=new",
    "balances snapshot #1 BRICK KAR KEEP MULTI USD",
    "balances update #4 DATKX6-PEHL1-HZKND8:USD",
    "status online",
    "book update BTC/USD 1 rows 2855135483",
    "subscribe#42 failed -: ESession:Invalid session",
];

const AS_DOCUMENTED: &[&str] = &[
    "subscribe#1 ok book ETH/USDT warnings=0",
    "book snapshot ETH/USDT 20 rows 2439117997",
    "subscribe#1 ok ohlc ETH/USDT interval=60 warnings=0",
    "subscribe#1 ok ohlc ETH/USDT interval=1440 warnings=0",
    "ohlc update ETH/USDT/60@-",
    "ohlc update ETH/USDT/1440@-",
    "subscribe#1 ok level3 ETH/USDT warnings=0",
    "other level3",
    "subscribe#1 ok ohlc ETH/USDT interval=5 warnings=0",
    "ohlc update ETH/USDT/5@16:25",
    "subscribe#1 ok ticker ETH/USDT warnings=0",
    "ticker update ETH/USDT",
    "subscribe#1 ok trade ETH/USDT warnings=0",
    "trade update ETH/USDT#4665906",
    "cancel_all#1 ok - - warnings=0",
    "cancel_all_orders_after#1 ok - - warnings=0",
    "cancel_order#1 ok - - warnings=0",
    "cancel_order#123456789 ok - - warnings=0",
    "amend_order#1 ok - - warnings=0",
    "batch_add#1 ok - - warnings=0",
    "add_order#1 ok - - warnings=0",
    "edit_order#1 ok - - warnings=0",
];
