//! Whose a channel is, as publishers say it: the field beside the data, else `owner` in the data. Only families that are
//! read by their channels' owners take it.
//!
//! Owns what may be said and how it is refused. Refuses to know who comes first: that is the broker's, in the step in which
//! it counts; and what an owner may do, which is the rights'.

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_schema::ErrorCode;

use crate::channel::Channel;
use crate::error::Refusal;

/// The longest owner, in bytes.
pub const OWNER_LIMIT: usize = 256;

/// Why a draft is not taken whose channel belongs to somebody else. It does not say to whom.
pub fn conflict(channel: &Channel) -> Refusal {
    let message = format!("{} belongs to another owner; the first owner of a channel stays", channel.name());
    Refusal::new(ErrorCode::OwnerConflict, message)
}

/// Whose a publish says its channel is, by the field `given` or by the data.
pub(crate) fn stated(
    channel: &Channel,
    given: Option<Box<str>>,
    data: &[u8],
) -> Result<Option<Box<str>>, Refusal> {
    let (owner, place) = match (channel.takes_owner(), given) {
        (true, Some(owner)) => (owner, "owner"),
        (true, None) => match in_data(channel, data)? {
            Some(owner) => (owner, "data.owner"),
            None => return Ok(None),
        },
        (false, None) => return Ok(None),
        (false, Some(_)) => {
            let why = "only channels of families that are read by their owners (read = \"owner\") have one";
            let message = format!("{} takes no owner: {why}", channel.name());
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    };
    check(channel, place, &owner)?;
    Ok(Some(owner))
}

fn check(channel: &Channel, place: &str, owner: &str) -> Result<(), Refusal> {
    if owner.is_empty() {
        return Err(invalid(channel, format!("{place} is empty; leave it away where there is none")));
    }
    if owner.len() > OWNER_LIMIT {
        return Err(invalid(
            channel,
            format!("{place} is {} bytes, the limit is {OWNER_LIMIT}", owner.len()),
        ));
    }
    if owner.chars().any(char::is_control) {
        return Err(invalid(channel, format!("{place} has a control character")));
    }
    Ok(())
}

/// The owner that an object names. Data that is no object has none.
fn in_data(channel: &Channel, data: &[u8]) -> Result<Option<Box<str>>, Refusal> {
    #[derive(Deserialize)]
    struct Looked<'a> {
        #[serde(borrow)]
        owner: Option<&'a RawValue>,
    }
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Ok(None);
    }
    // What came in is JSON: all that can be wrong with an object is that it says so twice, and readers would differ on
    // which one holds.
    let looked: Looked<'_> = serde_json::from_slice(data)
        .map_err(|_| invalid(channel, "data.owner is there more than once".to_owned()))?;
    match looked.owner.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => serde_json::from_str::<Box<str>>(text).map(Some).map_err(|_| {
            let why = "data.owner is not a string; say whose the channel is with the field owner beside data";
            invalid(channel, why.to_owned())
        }),
    }
}

fn invalid(channel: &Channel, why: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidData, format!("{}: {why}", channel.name()))
}

#[cfg(test)]
mod tests {
    use tapeline_schema::Catalog;

    use super::*;
    use crate::directory::Directory;

    fn told(channel: &str, given: Option<&str>, data: &str) -> Result<Option<String>, (ErrorCode, String)> {
        let channel = Directory::new(Catalog::built_in()).channel(channel).unwrap();
        let owner = stated(&channel, given.map(Box::from), data.as_bytes());
        owner.map(|owner| owner.map(String::from)).map_err(|refusal| (refusal.code, refusal.message))
    }

    #[test]
    fn the_field_beside_the_data_comes_before_the_data() {
        let data = r#" {"a":{"owner":"deep"},"own\u0065r":"\u0061nn"}"#;
        assert_eq!(told("executions:a", None, data), Ok(Some("ann".into())));
        assert_eq!(told("executions:a", Some("bob"), data), Ok(Some("bob".into())));
        for none in ["{}", r#"{"owner":null}"#, r#"["ann"]"#, "7"] {
            assert_eq!(told("balances:a", None, none), Ok(None), "{none}");
        }
    }

    #[test]
    fn an_owner_is_text_of_1_to_256_bytes_without_control_characters() {
        let refused = |given: Option<&str>, data: &str| {
            let (code, message) = told("order_status:7", given, data).unwrap_err();
            assert_eq!(code, ErrorCode::InvalidData);
            message
        };
        assert_eq!(
            told("order_status:7", Some(&"é".repeat(128)), "{}").map(|owner| owner.is_some()),
            Ok(true)
        );
        let long = "a".repeat(257);
        assert_eq!(refused(Some(&long), "{}"), "order_status:7: owner is 257 bytes, the limit is 256");
        assert!(refused(Some(""), "{}").starts_with("order_status:7: owner is empty"));
        assert_eq!(refused(Some("a\nb"), "{}"), "order_status:7: owner has a control character");
        assert!(refused(None, r#"{"owner":""}"#).starts_with("order_status:7: data.owner is empty"));
        assert_eq!(
            refused(None, r#"{"owner":"a\u0000"}"#),
            "order_status:7: data.owner has a control character"
        );
        assert!(refused(None, r#"{"owner":7}"#).starts_with("order_status:7: data.owner is not a string"));
        let twice = r#"{"owner":"a","owner":"b"}"#;
        assert_eq!(refused(None, twice), "order_status:7: data.owner is there more than once");
    }

    #[test]
    fn only_channels_that_are_read_by_their_owner_have_one() {
        let data = r#"{"owner":"ann"}"#;
        for channel in ["trades:p1", "orders", "executions", "my.own"] {
            assert_eq!(told(channel, None, data), Ok(None), "{channel}: what the data says is data");
            let (code, message) = told(channel, Some("ann"), data).unwrap_err();
            assert_eq!(code, ErrorCode::InvalidRequest);
            assert!(message.starts_with(&format!("{channel} takes no owner")), "{message}");
        }
    }
}
