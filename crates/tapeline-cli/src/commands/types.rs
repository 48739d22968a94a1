//! `tapeline types`: TypeScript or Python types of a running hub's families, its users' included.

use anyhow::Context;
use serde_json::Value;
use tapeline_codegen::Model;

use super::access::Access;
use super::hub_url::HubUrl;
use super::output::Output;
use super::request::Asker;

/// Print types of a running hub's channels and messages.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline types --lang ts > tapeline.ts\n  tapeline types --lang py --url http://127.0.0.1:8000 > tapeline_types.py"
)]
pub(crate) struct Types {
    /// The language.
    #[arg(long)]
    lang: Language,
    /// Where the hub is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: HubUrl,
    #[command(flatten)]
    access: Access,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    /// TypeScript.
    Ts,
    /// Python 3.11 and newer.
    Py,
}

impl Types {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let body = Asker::new(self.url.clone().with(&self.access)).read("/asyncapi.json")?;
        let about = || format!("{} has no types to tell; is it a Tapeline hub?", self.url);
        let document: Value = serde_json::from_str(&body).with_context(about)?;
        let model = Model::read(&document).with_context(about)?;
        let (name, write): (_, fn(&Model, &str) -> String) = match self.lang {
            Language::Ts => ("ts", tapeline_codegen::typescript),
            Language::Py => ("py", tapeline_codegen::python),
        };
        let mut out = Output::new();
        out.lines(&write(&model, &format!("tapeline types --lang {name} --url {}", self.url)))?;
        out.flush()
    }
}
