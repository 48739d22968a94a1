//! Agents and pipelines: what they do and what they found.

use serde_json::Value;
use tapeline_schema::events::{AgentResult, AgentStatus, PipelineUpdate};

use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// What an agent does now, a row of `agent_status`.
    pub fn publish_agent_status(
        &self,
        agent_id: impl Into<String>,
        status: impl Into<String>,
    ) -> Publish<'_> {
        let (agent_id, status) = (agent_id.into(), status.into());
        self.publish_event(&AgentStatus { agent_id, status, detail: None })
    }

    /// What an agent has found out, on `agent_result:{agent_id}`.
    pub fn publish_agent_result(&self, agent_id: impl Into<String>, result: Value) -> Publish<'_> {
        self.publish_event(&AgentResult { agent_id: agent_id.into(), result })
    }

    /// How far a pipeline is, on `pipeline:{pipeline_id}`.
    pub fn publish_pipeline(
        &self,
        pipeline_id: impl Into<String>,
        stage: impl Into<String>,
        status: impl Into<String>,
    ) -> Publish<'_> {
        let (pipeline_id, stage, status) = (pipeline_id.into(), stage.into(), status.into());
        self.publish_event(&PipelineUpdate { pipeline_id, stage, status })
    }
}
