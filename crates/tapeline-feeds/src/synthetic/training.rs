//! `exp_123`: a training run that goes from 0 to 100 percent in about a minute, is completed, and starts again.

use serde_json::{Value, json};

use super::event::{Moment, decimal};

/// The experiment that the demo trains.
pub const EXPERIMENT: &str = "exp_123";

const TOTAL_STEPS: i64 = 120;
const STEPS_PER_EPOCH: i64 = 12;
const STEPS_PER_MEASUREMENT: i64 = 3;
/// Beats between a completed run and the next one.
const REST: i64 = 8;

/// Where the run is: below 0 it rests.
pub(super) struct Training {
    step: i64,
}

impl Training {
    pub(super) fn new() -> Self {
        Training { step: 0 }
    }

    /// One step of the run, or of the rest between two.
    pub(super) fn step(&mut self, moment: &mut Moment<'_>) {
        match self.step {
            -1 => self.say("created", "waiting for a worker", moment),
            0 => self.say("running", "training started", moment),
            TOTAL_STEPS => self.say("completed", "training completed", moment),
            _ => {}
        }
        if self.step >= 0 {
            self.progress(moment);
        }
        if self.step > 0 && self.step % STEPS_PER_MEASUREMENT == 0 {
            self.measure(moment);
        }
        self.step = if self.step == TOTAL_STEPS { -REST } else { self.step + 1 };
    }

    fn epoch(&self) -> i64 {
        self.step / STEPS_PER_EPOCH
    }

    fn progress(&self, moment: &mut Moment<'_>) {
        moment.publish(
            format!("training.progress:{EXPERIMENT}"),
            [
                ("experiment_id", json!(EXPERIMENT)),
                ("current_step", json!(self.step)),
                ("total_steps", json!(TOTAL_STEPS)),
                ("epoch", json!(self.epoch())),
                ("progress", decimal(self.step * 1_000 / TOTAL_STEPS, 10)),
            ],
        );
    }

    fn measure(&self, moment: &mut Moment<'_>) {
        let done = self.step * 1_000 / TOTAL_STEPS;
        let loss = 950 - done * 7 / 10 + moment.random.around_zero(40);
        let accuracy = 520 + done * 4 / 10 + moment.random.around_zero(20);
        let metrics = json!({ "loss": decimal(loss, 1_000), "accuracy": decimal(accuracy, 1_000) });
        moment.publish(
            format!("training.metrics:{EXPERIMENT}"),
            [
                ("experiment_id", json!(EXPERIMENT)),
                ("epoch", json!(self.epoch())),
                ("current_step", json!(self.step)),
                ("metrics", metrics.clone()),
            ],
        );
        if self.step % STEPS_PER_EPOCH == 0 {
            self.log(&metrics, moment);
        }
    }

    fn log(&self, metrics: &Value, moment: &mut Moment<'_>) {
        moment.publish(
            format!("training.log:{EXPERIMENT}"),
            [
                ("experiment_id", json!(EXPERIMENT)),
                (
                    "message",
                    json!(format!("epoch {} of {}: {metrics}", self.epoch(), TOTAL_STEPS / STEPS_PER_EPOCH)),
                ),
                ("level", json!("info")),
            ],
        );
    }

    fn say(&self, status: &str, message: &str, moment: &mut Moment<'_>) {
        let time = moment.time();
        moment.publish(
            format!("training.status:{EXPERIMENT}"),
            [
                ("experiment_id", json!(EXPERIMENT)),
                ("status", json!(status)),
                ("message", json!(message)),
                ("progress", decimal(self.step.max(0) * 1_000 / TOTAL_STEPS, 10)),
                ("timestamp", json!(time)),
            ],
        );
    }
}
