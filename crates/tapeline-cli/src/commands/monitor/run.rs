//! One training run as its messages tell it, and the words for it. It knows no terminal.

use std::time::Instant;

use serde_json::{Map, Value};

use super::super::output::{cell, shown};

/// Characters of a log line or a message in a summary.
const WORDS: usize = 80;

/// See the module.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) heard: Instant,
    pub(super) status: String,
    /// In percent.
    pub(super) progress: f64,
    steps: Option<(f64, f64)>,
    epoch: Option<f64>,
    metrics: String,
    /// The last line of the log, the last error, or what was said with the status.
    words: String,
}

impl Run {
    pub(super) fn new(id: &str) -> Self {
        Run {
            id: id.to_string(),
            heard: Instant::now(),
            status: "running".to_string(),
            progress: 0.0,
            steps: None,
            epoch: None,
            metrics: String::new(),
            words: String::new(),
        }
    }

    /// Takes what was said on a topic, and answers it as a line; nothing where the topic is none of training.
    pub(super) fn take(&mut self, topic: &str, data: &Value) -> Option<String> {
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(|text| shown(text).into_owned());
        let number = |name: &str| data.get(name).and_then(Value::as_f64);
        let said = match topic.strip_prefix("training.")? {
            "status" => {
                let status = text("status").unwrap_or_default();
                if status == "created" {
                    *self = Run::new(&self.id);
                }
                self.progress = number("progress").unwrap_or(self.progress);
                if status == "completed" {
                    self.progress = 100.0;
                }
                self.words = text("message").unwrap_or_default();
                self.status = status;
                format!("{}  {}", self.status, self.words)
            }
            "progress" => {
                self.steps = number("current_step").zip(number("total_steps")).or(self.steps);
                self.epoch = number("epoch").or(self.epoch);
                self.progress = number("progress").unwrap_or(self.progress);
                self.how_far()
            }
            "metrics" => {
                self.metrics =
                    data.get("metrics").and_then(Value::as_object).map(measures).unwrap_or_default();
                format!("metrics  {}", self.metrics)
            }
            "log" => {
                self.words = text("message").unwrap_or_default();
                let level = text("level").unwrap_or_else(|| "info".to_string());
                format!("log  {level}  {}", self.words)
            }
            "error" => {
                self.words = format!("error: {}", text("message").unwrap_or_default());
                self.words.clone()
            }
            _ => return None,
        };
        Some(format!("{}  {said}", shown(&self.id)).trim_end().to_string())
    }

    /// `45.0 %  500/10000  epoch 5`
    fn how_far(&self) -> String {
        let mut text = format!("{:.1} %", self.progress);
        if let Some((step, total)) = self.steps {
            text += &format!("  {step}/{total}");
        }
        if let Some(epoch) = self.epoch {
            text += &format!("  epoch {epoch}");
        }
        text
    }

    /// What stands beside the bar.
    pub(super) fn beside(&self) -> String {
        let steps = self.steps.map(|(step, total)| format!("{step}/{total}"));
        let epoch = self.epoch.map(|epoch| format!("epoch {epoch}"));
        let parts = [Some(self.status.clone()), steps, epoch, Some(self.metrics.clone())];
        let parts = parts.into_iter().flatten().chain([cell(&self.words, WORDS)]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
    }

    /// All of it in a line.
    pub(super) fn summary(&self) -> String {
        format!("{}  {:.1} %  {}", shown(&self.id), self.progress, self.beside())
    }
}

/// `loss=0.045 reward=1250.5`
fn measures(metrics: &Map<String, Value>) -> String {
    let one = |(name, value): (&String, &Value)| {
        let value = match value.as_f64() {
            Some(number) => brief(number),
            None => cell(&value.to_string(), 20),
        };
        format!("{}={value}", shown(name))
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A number in about five digits.
fn brief(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(0.001..1e7).contains(&size) {
        return format!("{number:.3e}");
    }
    let text = if size >= 100.0 { format!("{number:.1}") } else { format!("{number:.4}") };
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_what_its_messages_said_last() {
        let mut run = Run::new("exp_1");
        let mut take = |topic: &str, data: Value| run.take(topic, &data).unwrap_or_default();
        assert_eq!(take("training.status", json!({"status": "created", "progress": 0})), "exp_1  created");
        let said = json!({"status": "running", "message": "PPO training started"});
        assert_eq!(take("training.status", said), "exp_1  running  PPO training started");
        let said = json!({"current_step": 500, "total_steps": 10_000, "epoch": 5, "progress": 5});
        assert_eq!(take("training.progress", said), "exp_1  5.0 %  500/10000  epoch 5");
        let said = json!({"metrics": {"loss": 0.045, "reward": 1250.5, "rate": 0.0003, "name": "x"}});
        let metrics = "loss=0.045 name=\"x\" rate=3.000e-4 reward=1250.5";
        assert_eq!(take("training.metrics", said), format!("exp_1  metrics  {metrics}"));
        assert_eq!(take("training.log", json!({"message": "epoch 5"})), "exp_1  log  info  epoch 5");
        assert_eq!(run.summary(), format!("exp_1  5.0 %  running  500/10000  epoch 5  {metrics}  epoch 5"));
        assert_eq!(run.take("training.other", &json!({})), None);
        run.take("training.status", &json!({"status": "completed", "message": "done"}));
        assert_eq!((run.progress, run.words.as_str()), (100.0, "done"));
        run.take("training.status", &json!({"status": "created"}));
        assert_eq!(run.summary(), "exp_1  0.0 %  created");
    }

    #[test]
    fn what_others_sent_does_not_act_on_the_terminal() {
        let mut run = Run::new("e\u{1b}[2J");
        let line = run.take("training.log", &json!({"message": "a\u{1b}[31mb\nc", "level": "\u{9b}"}));
        assert_eq!(line.as_deref(), Some("e\\u{1b}[2J  log  \\u{9b}  a\\u{1b}[31mb c"));
        run.take("training.metrics", &json!({"metrics": {"\u{1b}": "\u{1b}"}}));
        assert!(!run.summary().contains('\u{1b}'), "{}", run.summary());
    }
}
