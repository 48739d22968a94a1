//! Whose request a proxy passes on: the right-most address of `X-Forwarded-For` or of `Forwarded` (RFC 7239) that is not
//! itself a trusted proxy. What stands further left anybody may have written. It judges no socket and counts nothing.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

use tapeline_core::network::Network;

/// The header that the proxies write. Only one is read: the other may come from the client itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientHeader {
    /// `X-Forwarded-For: client, proxy`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy`
    Forwarded,
}

/// Why nobody is found behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The header is not there.
    Missing,
    /// What the nearest proxy wrote is no address.
    Malformed,
}

impl ClientHeader {
    /// Its name, as it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClientHeader::XForwardedFor => "x-forwarded-for",
            ClientHeader::Forwarded => "forwarded",
        }
    }

    /// The address in one element of its list.
    fn address(self, element: &str) -> Option<IpAddr> {
        match self {
            ClientHeader::XForwardedFor => node(element),
            ClientHeader::Forwarded => {
                let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
                let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
                let (_, value) = nodes.next()?;
                let value = value.trim();
                let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                if nodes.next().is_some() { None } else { node(unquoted.unwrap_or(value)) }
            }
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// Who is behind a trusted proxy. Where all are trusted, the first of them asks for itself.
pub(crate) fn client(
    headers: &HeaderMap,
    header: ClientHeader,
    trusted: &[Network],
) -> Result<IpAddr, Unknown> {
    let mut last = Err(Unknown::Missing);
    for value in headers.get_all(HeaderName::from_static(header.name())).iter().rev() {
        let value = value.to_str().map_err(|_| Unknown::Malformed)?;
        for element in value.rsplit(',') {
            let address = header.address(element.trim()).ok_or(Unknown::Malformed)?;
            if !trusted.iter().any(|network| network.contains(address)) {
                return Ok(address);
            }
            last = Ok(address);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: ClientHeader, lines: &[&str]) -> Result<IpAddr, Unknown> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), line.parse().unwrap());
        }
        client(&headers, header, &trusted)
    }

    fn is(address: &str) -> Result<IpAddr, Unknown> {
        Ok(address.parse().unwrap())
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_clients() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.1.2.3"], "192.0.2.1"),
            (&["127.0.0.1, 192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1 , 10.0.0.1,10.0.0.2"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.1"], "192.0.2.1"),
            (&["what is this, 192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["[2001:db8::7]:4711, 2001:db8:1::1"], "2001:db8::7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["10.0.0.9, 10.0.0.1"], "10.0.0.9"),
        ] {
            assert_eq!(found(ClientHeader::XForwardedFor, lines), is(expected), "{lines:?}");
        }
    }

    #[test]
    fn the_standard_header_says_it_in_its_own_words() {
        for (lines, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (
                &["for=6.6.6.6, For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1, for=10.0.0.1"],
                "2001:db8::7",
            ),
            (&["proto=https; for=\"192.0.2.1:99\""], "192.0.2.1"),
        ] {
            assert_eq!(found(ClientHeader::Forwarded, lines), is(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_the_nearest_proxy_wrote_must_be_an_address() {
        for lines in [
            &["unknown"][..],
            &["192.0.2.1, "],
            &["192.0.2.1, _hidden"],
            &["192.0.2.1, 10.0.0.1, 1.2.3"],
            &[""],
        ] {
            assert_eq!(found(ClientHeader::XForwardedFor, lines), Err(Unknown::Malformed), "{lines:?}");
        }
        for lines in [
            &["192.0.2.1"][..],
            &["for=unknown"],
            &["for=_x"],
            &["proto=https"],
            &["for=1.2.3.4;for=6.6.6.6"],
        ] {
            assert_eq!(found(ClientHeader::Forwarded, lines), Err(Unknown::Malformed), "{lines:?}");
        }
        assert_eq!(found(ClientHeader::XForwardedFor, &[]), Err(Unknown::Missing));
    }
}
