//! The address of who sends a credential, out of the text that names it.

use std::net::{IpAddr, SocketAddr};

/// The address in a text that may also have a port.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|found| found.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_either_form() {
        let of = |text| address(text).map(|found| found.to_string());
        assert_eq!(of("192.0.2.7:80").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("[2001:db8::6]:80").as_deref(), Some("2001:db8::6"));
        assert_eq!(of("nobody"), None);
    }
}
