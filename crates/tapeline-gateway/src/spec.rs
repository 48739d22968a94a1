//! `/asyncapi.json` and `/openapi.json`: the documents of this hub, users' families included, as they are now. Each is made
//! once a catalogue, with a gap where the name goes by which the hub was asked.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::Value;
use tapeline_codegen::About;
use tapeline_core::channel::push_json_string;
use tapeline_schema::Catalog;

use crate::app::App;
use crate::http::json;

/// What the documents call their maker.
const BY: &str = concat!("tapeline ", env!("CARGO_PKG_VERSION"));
/// Where a hub is that was asked without a `Host`.
const USUAL_HOST: &str = "127.0.0.1:8000";
/// Stands for the host while a document is made. No header can hold it, and nobody would put it into a schema.
const GAP: &str = "\u{1}host\u{1}";

/// How a document is made.
type Make = fn(&Catalog, About<'_>) -> Value;

/// What the documents were last made of.
#[derive(Default)]
pub(crate) struct Documents {
    asyncapi: Made,
    openapi: Made,
}

/// The text of a document, in pieces between which the host goes.
struct Pieces {
    catalog: Arc<Catalog>,
    pieces: Vec<String>,
}

impl Pieces {
    fn of(catalog: Arc<Catalog>, make: Make) -> Self {
        let text = make(&catalog, About { by: BY, host: GAP }).to_string();
        let pieces = text.split(&inside_json(GAP)).map(str::to_owned).collect();
        Pieces { catalog, pieces }
    }

    fn with(&self, host: &str) -> Vec<u8> {
        self.pieces.join(&inside_json(host)).into_bytes()
    }
}

/// A text as it stands inside a JSON string.
fn inside_json(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    push_json_string(&mut quoted, text);
    let quoted = String::from_utf8(quoted).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// One document.
#[derive(Default)]
struct Made(Mutex<Option<Arc<Pieces>>>);

impl Made {
    /// The document of this catalogue, made again only where it is another one.
    fn of(&self, catalog: Arc<Catalog>, make: Make) -> Arc<Pieces> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.catalog, &catalog)) {
            return kept;
        }
        // Not under the lock: nobody else should wait for it.
        let made = Arc::new(Pieces::of(catalog, make));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        made
    }
}

/// `GET /asyncapi.json`.
pub(crate) async fn asyncapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    json(app.documents.asyncapi.of(app.hub.catalog(), tapeline_codegen::asyncapi).with(host(&headers)))
}

/// `GET /openapi.json`.
pub(crate) async fn openapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    json(app.documents.openapi.of(app.hub.catalog(), tapeline_codegen::openapi).with(host(&headers)))
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(USUAL_HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKES: [Make; 2] = [tapeline_codegen::asyncapi, tapeline_codegen::openapi];

    #[test]
    fn a_document_says_the_host_it_was_asked_by_as_if_it_were_made_for_it() {
        let catalog = Arc::new(Catalog::built_in());
        for make in MAKES {
            let pieces = Pieces::of(catalog.clone(), make);
            for host in ["127.0.0.1:8000", "", "a\"b\\c"] {
                let direct = make(&catalog, About { by: BY, host }).to_string();
                assert_eq!(String::from_utf8(pieces.with(host)).unwrap(), direct, "{host}");
            }
        }
    }

    #[test]
    fn a_document_is_made_once_a_catalogue() {
        let made = Made::default();
        let [first, second] = [(); 2].map(|()| Arc::new(Catalog::built_in()));
        let [asked, again, other] =
            [&first, &first, &second].map(|catalog| made.of(catalog.clone(), tapeline_codegen::openapi));
        assert!(Arc::ptr_eq(&asked, &again));
        assert!(!Arc::ptr_eq(&asked, &other));
    }
}
