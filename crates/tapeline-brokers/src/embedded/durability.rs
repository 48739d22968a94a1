//! When what is written is made to last beyond the machine: the setting `storage.durability`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// See the module. Whatever it is, a message is written before it is delivered and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before a message is delivered and acknowledged.
    EveryBatch,
    /// So long after it was written, at most.
    Every(Duration),
    /// When the hub stops, or the system finds the time.
    Exit,
}

impl Default for Durability {
    fn default() -> Self {
        Durability::Every(Duration::from_millis(10))
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = || text.strip_suffix("ms")?.parse::<u64>().ok();
        match text {
            "every-batch" => Ok(Durability::EveryBatch),
            "exit" => Ok(Durability::Exit),
            _ => match millis() {
                Some(millis @ 1..=60_000) => Ok(Durability::Every(Duration::from_millis(millis))),
                _ => Err(format!(
                    "durability is every-batch, exit or 1ms to 60000ms, not {text}; the default is {}",
                    Durability::default()
                )),
            },
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::EveryBatch => f.write_str("every-batch"),
            Durability::Every(time) => write!(f, "{}ms", time.as_millis()),
            Durability::Exit => f.write_str("exit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_is_read_as_it_is_written() {
        for text in ["every-batch", "exit", "10ms", "1ms", "60000ms"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for text in ["", "ms", "0ms", "60001ms", "10", "-1ms", "never"] {
            assert!(text.parse::<Durability>().unwrap_err().contains("every-batch"), "{text}");
        }
    }
}
