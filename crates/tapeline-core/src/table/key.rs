//! What tells rows apart: one JSON scalar or several, in a form in which equal values are equal bytes.
//! Numbers compare as numbers, so `66787.7` and `66787.70` name one row; a number and a string never do.

use std::borrow::Cow;

use smallvec::SmallVec;

/// A row's key; two rows with equal keys are one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RowKey(SmallVec<[u8; 32]>);

/// Ends a part; no UTF-8 text contains it.
const END: u8 = 0xff;

impl RowKey {
    /// Adds one more scalar, given as JSON; `false` if it is an object or array.
    pub fn push(&mut self, json: &str) -> bool {
        let json = json.trim_ascii();
        match json.as_bytes().first() {
            Some(b'"') => {
                let Ok(text) = serde_json::from_str::<Cow<'_, str>>(json) else { return false };
                self.0.push(b's');
                self.0.extend_from_slice(text.as_bytes());
            }
            Some(b'{' | b'[') | None => return false,
            Some(b't' | b'f' | b'n') => self.0.extend_from_slice(json.as_bytes()),
            Some(_) => self.push_number(json),
        }
        self.0.push(END);
        true
    }

    /// The key of one scalar.
    pub fn of(json: &str) -> Option<Self> {
        let mut key = RowKey::default();
        key.push(json).then_some(key)
    }

    /// Its bytes, for who keeps rows elsewhere.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        RowKey(SmallVec::from_slice(bytes))
    }

    /// Its digits without zeros at either end, and the power of ten of the last one: `-12.50` is `-125e-1`.
    fn push_number(&mut self, number: &str) {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: SmallVec<[u8; 32]> = whole.bytes().chain(fraction.bytes()).collect();
        let Ok(exponent) = exponent.parse::<i64>() else {
            // A power of ten beyond all counting: only equal text is the same number.
            self.0.push(b'?');
            return self.0.extend_from_slice(number.as_bytes());
        };
        let mut power = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
        while digits.last() == Some(&b'0') {
            digits.pop();
            power = power.saturating_add(1);
        }
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        let digits = digits.get(leading..).unwrap_or_default();
        self.0.push(b'#');
        if digits.is_empty() {
            // Minus zero is zero, whatever its power.
            return;
        }
        if negative {
            self.0.push(b'-');
        }
        self.0.extend_from_slice(digits);
        self.0.push(b'e');
        self.0.extend_from_slice(power.to_string().as_bytes());
    }
}
