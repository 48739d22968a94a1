//! `tapeline serve --demo`: the synthetic market on this hub, and the lines that tell a newcomer where to look.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use tapeline_core::Hub;
use tapeline_feeds::runner::Running;
use tapeline_feeds::synthetic::Synthetic;

/// The port that commands look at by themselves.
const USUAL_PORT: u16 = 8_000;

/// Starts the market, which opens now.
pub(crate) fn start(seed: u64, hub: &Arc<Hub>) -> anyhow::Result<Running> {
    let market = Synthetic::new(seed, hub.now().wall_us);
    Running::start("demo", Box::new(market), hub.clone()).context("the demo's thread could not be started")
}

/// Says where to look.
pub(crate) fn welcome(scheme: &str, address: SocketAddr) {
    // Whoever started the hub may have read one line and gone; that is no reason to stop serving.
    let _ = std::io::stdout().write_all(lines(scheme, address).as_bytes());
}

fn lines(scheme: &str, address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let host = SocketAddr::new(ip, address.port());
    let elsewhere = if scheme == "http" && host.port() == USUAL_PORT {
        String::new()
    } else {
        format!(" --url {scheme}://{host}")
    };
    format!(
        "a synthetic market is live; look at it:\n  \
         in a browser   {scheme}://{host}/\n  \
         once           curl {scheme}://{host}/last/market_data:AAPL\n  \
         as it moves    tapeline sub 'market_data:*'{elsewhere}\n  \
         the hub itself tapeline top{elsewhere}\n  \
         what is wrong  tapeline doctor market_data:AAPL{elsewhere}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_given_an_address_that_can_be_opened() {
        let said = lines("http", "0.0.0.0:8000".parse().unwrap());
        assert!(said.contains("http://127.0.0.1:8000/\n"), "{said}");
        assert!(said.contains("tapeline sub 'market_data:*'\n"), "{said}");
    }

    #[test]
    fn a_hub_on_another_port_is_named_to_the_commands() {
        let said = lines("http", "127.0.0.1:9000".parse().unwrap());
        assert!(said.contains("tapeline sub 'market_data:*' --url http://127.0.0.1:9000\n"), "{said}");
        let said = lines("https", "127.0.0.1:8000".parse().unwrap());
        assert!(said.contains("tapeline sub 'market_data:*' --url https://127.0.0.1:8000\n"), "{said}");
    }
}
