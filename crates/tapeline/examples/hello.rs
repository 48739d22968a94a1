//! Hello world: `cargo run -p tapeline --example hello [ws://127.0.0.1:8000]`

#[tokio::main]
async fn main() -> Result<(), tapeline::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "memory://".to_string());
    let bus = tapeline::connect(&url).await?;
    let mut greetings = bus.subscribe_stream("greetings").await?;
    bus.publish("greetings", "hello world").await?;
    println!("{:?}", greetings.next().await);
    Ok(())
}
