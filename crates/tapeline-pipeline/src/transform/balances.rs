//! A venue's list of balances as a map by asset, each entry as it was sent. Of several entries of an asset the last
//! counts: it is the newest.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::data::Data;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    asset: Option<Cow<'a, str>>,
}

fn asset_of(entry: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Entry<'_>>(entry.get()).ok()?.asset
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// `[{"asset":"BTC","balance":1.20},…]` → `{"BTC":{"asset":"BTC","balance":1.20},…}`. One entry alone is a list of one,
/// and what is a map already is left as it is.
///
/// # Errors
/// It is none of these, or an entry names no asset.
pub fn by_asset(balances: &[u8]) -> Result<Data, String> {
    let whole: &RawValue = read(balances)?;
    let entries: Vec<&RawValue> = match asset_of(whole) {
        Some(_) => vec![whole],
        None if is_object(balances) => return Ok(Data::new(balances.to_vec())),
        None => read(balances)?,
    };
    let mut named = Vec::with_capacity(entries.len());
    for (entry, place) in entries.into_iter().zip(1..) {
        let asset = asset_of(entry).ok_or_else(|| format!("balance {place} names no asset"))?;
        named.push((asset, entry));
    }
    // From the end, so that the first seen of an asset is the one that counts.
    let mut known = HashSet::with_capacity(named.len());
    let mut assets: Vec<_> = named.iter().rev().filter(|(asset, _)| known.insert(&**asset)).collect();
    assets.reverse();
    write(&assets).map_err(|error| error.to_string())
}

/// As a list of entries, also where one entry or a map by asset was sent.
///
/// # Errors
/// It is neither.
pub fn as_list(balances: &[u8]) -> Result<Data, String> {
    if !is_object(balances) {
        return read::<Vec<&RawValue>>(balances).map(|_| Data::new(balances.to_vec()));
    }
    let whole: &RawValue = read(balances)?;
    let entries = match asset_of(whole) {
        Some(_) => vec![whole],
        None => read::<BTreeMap<Cow<'_, str>, &RawValue>>(balances)?.into_values().collect(),
    };
    Data::of(&entries).map_err(|error| error.to_string())
}

fn read<'a, T: Deserialize<'a>>(balances: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(balances).map_err(|error| format!("balances are no list: {error}"))
}

fn write(assets: &[&(Cow<'_, str>, &RawValue)]) -> serde_json::Result<Data> {
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
    fn a_list_of_many_assets_takes_time_by_its_length_alone() {
        let entry = |n| format!(r#"{{"asset":"A{n}","balance":1}}"#);
        let list = |count: u32| format!("[{}]", (0..count).map(entry).collect::<Vec<_>>().join(","));
        let map = by_asset(list(100_000).as_bytes()).unwrap();
        assert_eq!(map.to_string().matches("\"balance\"").count(), 100_000);
    }

    #[test]
    fn one_entry_is_a_list_of_one_and_a_map_becomes_a_list() {
        let one = br#"{"asset":"BTC","balance":1.20}"#;
        assert_eq!(by_asset(one).unwrap().to_string(), r#"{"BTC":{"asset":"BTC","balance":1.20}}"#);
        assert_eq!(as_list(one).unwrap().to_string(), r#"[{"asset":"BTC","balance":1.20}]"#);
        let map = br#"{"BTC":{"balance":1.20},"asset":{"balance":2.0}}"#;
        assert_eq!(by_asset(map).unwrap().bytes(), &map[..]);
        assert_eq!(as_list(map).unwrap().to_string(), r#"[{"balance":1.20},{"balance":2.0}]"#);
        assert_eq!(as_list(b"[1]").unwrap().to_string(), "[1]");
    }

    #[test]
    fn what_is_no_list_of_balances_says_where() {
        let error = |text: &str| by_asset(text.as_bytes()).unwrap_err();
        assert_eq!(error(r#"[{"asset":"BTC"},{"balance":1}]"#), "balance 2 names no asset");
        assert_eq!(error("[7]"), "balance 1 names no asset");
        assert!(error("7").starts_with("balances are no list"));
    }
}
