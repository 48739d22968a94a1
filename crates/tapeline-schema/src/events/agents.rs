//! Agents and pipelines: what they do, what came of it, what they signal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::values::Extra;

/// A row: what an agent does now. Its key is `agent_id`. Published by the agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStatus {
    /// The agent.
    pub agent_id: String,
    /// In one word, such as `idle`, `running`, `failed`.
    pub status: String,
    /// In a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What an agent has found out, published by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentResult {
    /// The agent, as the channel's key names it.
    pub agent_id: String,
    /// The result: any JSON.
    pub result: Value,
}

/// How far a pipeline is, published by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineUpdate {
    /// The pipeline, as the channel's key names it.
    pub pipeline_id: String,
    /// The step it is at.
    pub stage: String,
    /// How that goes, such as `running`, `done`, `failed`.
    pub status: String,
}

/// A signal of a strategy's, published by workers. Any object is taken; these are the usual fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// What to do: `BUY`, `SELL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The price it is about, in the quote currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}
