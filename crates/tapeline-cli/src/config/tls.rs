//! `[tls]`: where TLS is spoken and with what certificate. What belongs together must be given together.

use std::net::SocketAddr;

use tapeline_gateway::tls::{TlsFiles, TlsVersion};
use toml::Value as Toml;

use super::value::{Given, Value};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct TlsValues {
    pub listen: Vec<SocketAddr>,
    pub certificate: String,
    pub key: String,
    pub min_version: TlsVersion,
    pub expiry_alert_days: u32,
}

impl Default for TlsValues {
    fn default() -> Self {
        TlsValues {
            listen: Vec::new(),
            certificate: String::new(),
            key: String::new(),
            min_version: TlsVersion::default(),
            expiry_alert_days: 14,
        }
    }
}

impl TlsValues {
    /// Nothing where TLS is spoken nowhere.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.certificate.clone().into(), self.key.clone().into());
        let files = TlsFiles { certificate, key, min_version: self.min_version };
        (!self.listen.is_empty()).then_some(files)
    }

    /// The setting that has a fault, and which.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let given = [!self.listen.is_empty(), !self.certificate.is_empty(), !self.key.is_empty()];
        let (at, lacks) = match given {
            [false, false, false] | [true, true, true] => return Ok(()),
            [true, false, _] => ("tls.listen", "tls.certificate is missing (--tls-certificate FILE)"),
            [_, true, false] => ("tls.certificate", "tls.key is missing (--tls-key FILE)"),
            [false, false, true] => ("tls.key", "tls.certificate is missing (--tls-certificate FILE)"),
            [false, true, true] => ("tls.certificate", "tls.listen is missing (--tls-listen ADDR)"),
        };
        Err((at, format!("{at}: {lacks}")))
    }
}

impl Value for TlsVersion {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = match given {
            Given::Toml(Toml::Float(number)) => number.to_string(),
            Given::Toml(value) => value.as_str().unwrap_or_default().to_string(),
            Given::Text(text) => text.to_string(),
        };
        match text.as_str() {
            "1.2" => Ok(TlsVersion::V1_2),
            "1.3" => Ok(TlsVersion::V1_3),
            _ => Err(format!("expected \"1.2\" or \"1.3\", found {given}")),
        }
    }

    fn show(&self) -> String {
        let version = match self {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        };
        Toml::String(version.to_string()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_asked_for_by_its_flag() {
        let listen: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().unwrap()];
        let check = |listen: &[SocketAddr], certificate: &str, key: &str| {
            let (listen, certificate, key) = (listen.to_vec(), certificate.to_string(), key.to_string());
            TlsValues { listen, certificate, key, ..TlsValues::default() }.check().map_err(|(_, told)| told)
        };
        assert_eq!(check(&[], "", ""), Ok(()));
        assert_eq!(check(&listen, "c", "k"), Ok(()));
        for (listen, certificate, key, lacks) in [
            (&*listen, "", "", "--tls-certificate"),
            (&listen, "", "k", "--tls-certificate"),
            (&listen, "c", "", "--tls-key"),
            (&[], "c", "", "--tls-key"),
            (&[], "", "k", "--tls-certificate"),
            (&[], "c", "k", "--tls-listen"),
        ] {
            let told = check(listen, certificate, key).unwrap_err();
            assert!(told.contains(lacks), "{told}");
        }
    }
}
