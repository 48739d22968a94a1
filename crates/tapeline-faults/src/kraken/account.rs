//! An account at the stand-in: its orders, fills and balances as they are, so that who subscribes gets them first; and the
//! tokens that its socket takes. What happens is told to it as the venue would say it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;

/// Fills that are told at first to who asks for them.
const FILLS: usize = 50;

/// An order's fields, as text.
type Fields = BTreeMap<String, Box<RawValue>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// API key and secret, in base64.
    pub key: Option<(String, String)>,
    tokens: BTreeSet<String>,
    issued: u64,
    last_nonce: u64,
    orders: BTreeMap<String, Fields>,
    fills: Vec<String>,
    balances: BTreeMap<String, String>,
}

fn fields(json: &str) -> Fields {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
}

impl Account {
    /// A token that the socket takes from now on.
    pub(super) fn issue(&mut self) -> String {
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        self.tokens.insert(token.clone());
        token
    }

    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    pub(super) fn accept(&mut self, token: &str) {
        self.tokens.insert(token.to_string());
    }

    /// No token of before is taken any more.
    pub(super) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn knows(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    /// Whether a nonce is newer than all before it.
    pub(super) fn takes_nonce(&mut self, nonce: u64) -> bool {
        let is_newer = nonce > self.last_nonce;
        self.last_nonce = self.last_nonce.max(nonce);
        is_newer
    }

    /// What happened to an order: the fields that changed.
    pub(super) fn execution(&mut self, json: &str) {
        let changed = fields(json);
        let id = text(&changed, "order_id").expect("an execution names its order");
        if text(&changed, "exec_type").as_deref() == Some("trade") {
            self.fills.push(json.to_string());
        }
        let order = self.orders.entry(id.clone()).or_default();
        order.extend(changed);
        let is_over = |status: &str| matches!(status, "filled" | "canceled" | "expired");
        if text(order, "order_status").is_some_and(|status| is_over(&status)) {
            self.orders.remove(&id);
        }
    }

    /// Open orders and, where they are asked for, the last fills.
    pub(super) fn executions(&self, params: &Value) -> Vec<String> {
        let asked = |name: &str, default| params[name].as_bool().unwrap_or(default);
        let mut all = Vec::new();
        if asked("snap_trades", false) {
            all.extend(self.fills.iter().rev().take(FILLS).rev().cloned());
        }
        if asked("snap_orders", true) {
            all.extend(self.orders.values().map(|order| serde_json::to_string(order).unwrap_or_default()));
        }
        all
    }

    /// An entry of the ledger.
    pub(super) fn ledger(&mut self, json: &str) {
        let entry = fields(json);
        let asset = text(&entry, "asset").expect("an entry names its asset");
        let balance = entry.get("balance").expect("an entry has the balance after it");
        self.hold(&asset, balance.get());
    }

    /// It holds so much.
    pub(super) fn hold(&mut self, asset: &str, balance: &str) {
        self.balances.insert(asset.to_string(), balance.to_string());
    }

    pub(super) fn balances(&self) -> Vec<String> {
        let one = |(asset, balance): (&String, &String)| {
            format!(
                r#"{{"asset":"{asset}","asset_class":"currency","balance":{balance},"wallets":[{{"type":"spot","id":"main","balance":{balance}}}]}}"#
            )
        };
        self.balances.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_subscriber_gets_open_orders_whole_and_ended_ones_no_more() {
        let mut account = Account::default();
        account.execution(
            r#"{"order_id":"O1","symbol":"BTC/USD","order_qty":1.50,"order_status":"new","exec_type":"new"}"#,
        );
        account.execution(r#"{"order_id":"O1","exec_type":"trade","exec_id":"E1","last_qty":0.50,"order_status":"partially_filled"}"#);
        let open = account.executions(&Value::Null);
        assert!(open[0].contains(r#""order_qty":1.50"#) && open[0].contains("partially_filled"), "{open:?}");
        account.execution(r#"{"order_id":"O1","order_status":"canceled","exec_type":"canceled"}"#);
        assert_eq!(account.executions(&Value::Null).len(), 0);
        assert_eq!(account.executions(&serde_json::json!({"snap_trades": true})).len(), 1);
    }
}
