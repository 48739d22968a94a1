//! Prints the best bid and ask of a book: `cargo run -p tapeline --example book ws://127.0.0.1:8000 BTC/USD`
//! Without arguments it makes a book of its own.

use tapeline::events::{BookRow, BookSide};
use tapeline::{Event, Table};

#[tokio::main]
async fn main() -> Result<(), tapeline::Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let symbol = arguments.next().unwrap_or_else(|| "BTC/USD".to_string());
    let bus = tapeline::connect(url.as_deref().unwrap_or("memory://")).await?;
    let channel = format!("orderbook_rows:{symbol}");
    let mut events = bus.subscribe_stream(channel.as_str()).await?;
    if url.is_none() {
        let rows = [BookRow(BookSide::B, 66_787.7, 0.5), BookRow(BookSide::A, 66_788.1, 0.25)];
        bus.publish_orderbook_snapshot(&symbol, &rows).await?;
    }
    let Some(mut table) = Table::of(&channel) else { return Ok(()) };
    while let Some(event) = events.next().await {
        if let Event::Message(message) = event {
            table.apply(&message)?;
            let book = table.book();
            println!("{:?} {:?}", book.bids.first(), book.asks.first());
        }
        if url.is_none() {
            break;
        }
    }
    Ok(())
}
