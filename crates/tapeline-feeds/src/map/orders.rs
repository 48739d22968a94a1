//! What a venue says of an account's orders, to `execution` (as it is, only the instrument renamed) and to `order_status`
//! (where the order stands). The session has merged what the venue says in parts; nothing is remembered here.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tapeline_core::feed::Update;

use super::number::Number;
use super::untold::{Untold, malformed};
use super::write::Object;

/// What matters of an order.
#[derive(Deserialize)]
pub(super) struct Order<'a> {
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order_status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    exec_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order_qty: Option<&'a RawValue>,
    #[serde(borrow)]
    cum_qty: Option<&'a RawValue>,
}

impl<'a> Order<'a> {
    pub(super) fn of(update: &'a Update) -> Result<Self, Untold> {
        update.json().map_err(|error| malformed(update, error))
    }

    pub(super) fn symbol(&self) -> Option<&str> {
        self.symbol.as_deref()
    }

    pub(super) fn id(&self, update: &Update) -> Result<&str, Untold> {
        self.order_id.as_deref().ok_or_else(|| malformed(update, "it has no order_id"))
    }

    /// Whether it is a fill that does not say how the order stands: that says nothing of the status.
    pub(super) fn is_without_status(&self) -> bool {
        self.order_status.is_none() && self.exec_type.as_deref() == Some("trade")
    }

    /// The data of an order's status; `symbol` is the hub's name.
    pub(super) fn status(
        &self,
        update: &Update,
        symbol: Option<&str>,
        owner: Option<&str>,
    ) -> Result<Bytes, Untold> {
        let status = self.order_status.as_ref().or(self.exec_type.as_ref());
        let status = status.ok_or_else(|| malformed(update, "it has neither order_status nor exec_type"))?;
        let mut object = Object::with_capacity(160).text("order_id", self.id(update)?).text("status", status);
        if let Some(symbol) = symbol {
            object = object.text("symbol", symbol);
        }
        object = object.json_if("filled", self.cum_qty);
        if let Some(remaining) = self.remaining() {
            object = object.json("remaining", &remaining.to_string());
        }
        if let Some(owner) = owner {
            object = object.text("owner", owner);
        }
        Ok(object.bytes())
    }

    /// What is not filled; unknown where the venue does not say both quantities.
    fn remaining(&self) -> Option<Number> {
        let of = |quantity: Option<&RawValue>| Number::parse(quantity?.get());
        of(self.order_qty)?.minus(of(self.cum_qty)?)
    }
}

/// The data of an execution: as the venue says it, under the hub's name of the instrument where that is another.
pub(super) fn execution(update: &Update, renamed: Option<&str>) -> Result<Bytes, Untold> {
    let Some(symbol) = renamed else { return Ok(update.data.clone()) };
    let fields: Fields<'_> = update.json().map_err(|error| malformed(update, error))?;
    let start = Object::with_capacity(update.data.len() + symbol.len());
    let object = fields.0.iter().fold(start, |object, (name, value)| match &**name {
        "symbol" => object.text("symbol", symbol),
        name => object.with_any_name(name, value.get()),
    });
    Ok(object.bytes())
}

/// An object's fields in their order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    fields.push((name.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
