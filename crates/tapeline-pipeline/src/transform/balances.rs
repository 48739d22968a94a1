//! A venue's list of balances as a map by asset, each entry as it was sent. Of several entries of an asset the last
//! counts: it is the newest.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::data::Data;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    asset: Option<Cow<'a, str>>,
}

/// `[{"asset":"BTC","balance":1.20},…]` → `{"BTC":{"asset":"BTC","balance":1.20},…}`; a map is left as it is.
///
/// # Errors
/// It is neither, or an entry names no asset.
pub fn by_asset(list: &[u8]) -> Result<Data, String> {
    if list.trim_ascii_start().first() == Some(&b'{') {
        return Ok(Data::new(list.to_vec()));
    }
    let entries: Vec<&RawValue> =
        serde_json::from_slice(list).map_err(|error| format!("balances are no list: {error}"))?;
    let mut assets: Vec<(Cow<'_, str>, &RawValue)> = Vec::with_capacity(entries.len());
    for (entry, place) in entries.into_iter().zip(1..) {
        let named = serde_json::from_str::<Entry<'_>>(entry.get());
        let asset = named.map_err(|error| format!("balance {place} is no entry: {error}"))?.asset;
        let asset = asset.ok_or_else(|| format!("balance {place} names no asset"))?;
        assets.retain(|(known, _)| *known != asset);
        assets.push((asset, entry));
    }
    write(&assets).map_err(|error| error.to_string())
}

fn write(assets: &[(Cow<'_, str>, &RawValue)]) -> serde_json::Result<Data> {
    let mut map = vec![b'{'];
    for (asset, entry) in assets {
        if map.len() > 1 {
            map.push(b',');
        }
        serde_json::to_writer(&mut map, asset)?;
        map.push(b':');
        map.extend_from_slice(entry.get().as_bytes());
    }
    map.push(b'}');
    Ok(Data::new(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_map_by_asset_with_its_digits_and_the_last_of_an_asset_counts() {
        let list = br#"[{"asset":"BTC","balance":1.20},{"asset":"U\"SD","balance":3.10},{"asset":"BTC","balance":1.30}]"#;
        let map = r#"{"U\"SD":{"asset":"U\"SD","balance":3.10},"BTC":{"asset":"BTC","balance":1.30}}"#;
        assert_eq!(by_asset(list).unwrap().to_string(), map);
        assert_eq!(by_asset(b"[]").unwrap().to_string(), "{}");
        assert_eq!(by_asset(map.as_bytes()).unwrap().to_string(), map);
    }

    #[test]
    fn what_is_no_list_of_balances_says_where() {
        let error = |text: &str| by_asset(text.as_bytes()).unwrap_err();
        assert_eq!(error(r#"[{"asset":"BTC"},{"balance":1}]"#), "balance 2 names no asset");
        assert!(error("[7]").starts_with("balance 1 is no entry"), "{}", error("[7]"));
        assert!(error("7").starts_with("balances are no list"));
    }
}
