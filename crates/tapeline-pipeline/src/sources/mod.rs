//! Where updates come from: a hub's messages become updates here, and what any iterator yields is put in. A feed's
//! updates need nothing of the kind: they are what a pipeline takes.

mod hub;
mod pour;

pub use hub::{HubMessage, from_hub};
pub use pour::{Poured, pour, pour_async};
