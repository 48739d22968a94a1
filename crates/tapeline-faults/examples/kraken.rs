//! A stand-in for Kraken to look at by hand: `cargo run -p tapeline-faults --example kraken [RECORDING DEPTH]`, then
//! `tapeline feed kraken --url URL --symbols BTC/USD`. Without a recording the market is made up. A line on standard
//! input breaks something: cut, close, lose, double, checksum, row, maintenance, online, freeze, still.

use std::io::BufRead;
use std::path::Path;

use tapeline_faults::kraken::{Fault, Kraken, Market, Pace, Pair};

fn main() {
    let mut words = std::env::args().skip(1);
    let market = match (words.next(), words.next().and_then(|depth| depth.parse().ok())) {
        (Some(path), Some(depth)) => Market::recorded(Path::new(&path), depth),
        _ => Market::synthetic(7, &[Pair::new("BTC/USD", 1), Pair::new("ETH/USD", 2)], 1_200),
    };
    let kraken = Kraken::start(market);
    let pairs: Vec<String> = kraken.pairs().into_iter().map(|pair| pair.symbol).collect();
    println!("{} has {}", kraken.url(), pairs.join(","));
    kraken.pace(Pace::Times(1.0));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let spoil = |fault| kraken.spoil("book", None, fault, 1);
        match line.trim() {
            "cut" => kraken.cut(),
            "close" => kraken.close(1012),
            "lose" => spoil(Fault::Lost),
            "double" => spoil(Fault::Doubled),
            "checksum" => spoil(Fault::WrongChecksum),
            "row" => spoil(Fault::WrongRow),
            "freeze" => kraken.freeze(),
            "still" => kraken.pace(Pace::Still),
            word => kraken.be(word),
        }
    }
}
