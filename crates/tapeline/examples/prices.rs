//! Prints prices as they come, and what is missing: `cargo run -p tapeline --example prices ws://127.0.0.1:8000`
//! against `tapeline serve --demo`. Without a URL it makes a few prices of its own.

use tapeline::{EventBus, PubSubMessage};

#[tokio::main]
async fn main() -> Result<(), tapeline::Error> {
    let url = std::env::args().nth(1);
    let bus = tapeline::connect(url.as_deref().unwrap_or("memory://")).await?;
    bus.subscribe("market_data", |message: PubSubMessage| {
        println!("{} {}", message.key("symbol").unwrap_or("?"), message.data());
    })
    .on_gap(|gap| eprintln!("missing: {gap:?}"))
    .await?;
    if url.is_none() {
        publish_some(&bus).await?;
    }
    // Until the bus is closed: by the hub for good, or by pressing Ctrl-C.
    let mut state = bus.state();
    let closed = state.wait_for(|state| matches!(state, tapeline::ConnectionState::Closed(_)));
    match closed.await.map(|state| state.clone()) {
        Ok(tapeline::ConnectionState::Closed(tapeline::Error::BusClosed)) | Err(_) => Ok(()),
        Ok(tapeline::ConnectionState::Closed(error)) => Err(error),
        Ok(_) => Ok(()),
    }
}

async fn publish_some(bus: &EventBus) -> Result<(), tapeline::Error> {
    for (price, change) in [(187.2, 0.0), (187.4, 0.2), (187.1, -0.3)] {
        bus.publish_market_data("AAPL", price, change, 1_200.0).await?;
    }
    bus.close().await;
    Ok(())
}
