//! Any bytes as the body of a publish and of a batch, in both of its forms.

use serde_json::value::RawValue;
use tapeline_core::Refusal;
use tapeline_core::command::Publication;
use tapeline_gateway::fuzzing;
use tapeline_schema::ErrorCode;

/// Items of one batch.
const LIMIT: usize = 64;

/// The check of the target `batch`.
pub(crate) fn check(body: &[u8]) {
    if let Err(refusal) = fuzzing::envelope(body, |publication| taken(body, &publication)) {
        refused(body, &refusal);
    }
    let mut items = 0;
    let array = fuzzing::batch(body, false, LIMIT, |item| each(body, item));
    let lines = fuzzing::batch(body, true, LIMIT, |item| {
        items += 1;
        each(body, item);
    });
    if let Err(refusal) = array {
        refused(body, &refusal);
    }
    let said = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    match lines {
        Ok(()) => assert_eq!(items, said, "an answer a line"),
        Err(refusal) => assert!(said > LIMIT && refusal.code == ErrorCode::TooLarge, "{refusal:?}"),
    }
}

fn each(body: &[u8], item: Result<Publication<&str>, Refusal>) {
    match item {
        Ok(publication) => taken(body, &publication),
        Err(refusal) => assert!(!refusal.message.is_empty(), "{refusal:?}"),
    }
}

/// What is taken is JSON, and the bytes that came.
fn taken(body: &[u8], publication: &Publication<&str>) {
    let data = &publication.data;
    serde_json::from_slice::<&RawValue>(data).expect("what is published is JSON");
    assert!(body.windows(data.len()).any(|window| window == data), "the bytes are those that came");
}

/// A body that is no JSON is told so; but behind the bound nobody looks.
fn refused(body: &[u8], refusal: &Refusal) {
    let is_json = serde_json::from_slice::<&RawValue>(body).is_ok();
    assert!(is_json || matches!(refusal.code, ErrorCode::BadJson | ErrorCode::TooLarge), "{refusal:?}");
}
