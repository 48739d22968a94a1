//! Where a bus takes its token from, and the token that it uses now. It knows neither what is in a token nor how one is
//! sent; it never shows one.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderValue, InvalidHeaderValue};

use crate::error::Error;

/// What a program gets a token with may fail for any reason.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Fetching = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

/// The variable that a token is taken from where [`crate::Settings::token`] gives none.
const VARIABLE: &str = "TAPELINE_TOKEN";
/// Before a source that has failed is asked again, at first; it doubles up to the last.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where a bus takes its token from: a text that stays the same (a token or an API key), a file, or a call.
///
/// A file is read and a call is made for each connection, and again when the hub says that the token is about to end. A
/// text cannot be renewed: when such a token ends, the bus ends with [`Error::Unauthorized`].
///
/// ```
/// # async fn ask_my_backend() -> Result<String, std::io::Error> { Ok("token".into()) }
/// use tapeline::{Settings, TokenSource};
/// let settings = Settings { token: Some(TokenSource::call(ask_my_backend)), ..Settings::default() };
/// # assert_eq!(format!("{:?}", settings.token), "Some(TokenSource(by a call))");
/// ```
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Text(Arc<str>),
    File(PathBuf),
    Call(Arc<dyn Fn() -> Fetching + Send + Sync>),
}

impl TokenSource {
    /// This token or API key.
    pub fn text(token: impl Into<String>) -> Self {
        TokenSource(Kind::Text(token.into().into()))
    }

    /// What is in this file, white space around it left out.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        TokenSource(Kind::File(path.into()))
    }

    /// What this answers, such as a request to the platform's own backend.
    pub fn call<C, F, E>(call: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Failure>,
    {
        let fetch = move || -> Fetching {
            let fetching = call();
            Box::pin(async move { fetching.await.map_err(Into::into) })
        };
        TokenSource(Kind::Call(Arc::new(fetch)))
    }

    /// `TAPELINE_TOKEN`, where it says something.
    pub(crate) fn by_variable() -> Option<Self> {
        std::env::var(VARIABLE).ok().filter(|token| !token.trim().is_empty()).map(Self::text)
    }

    async fn fetch(&self) -> Result<Arc<str>, Error> {
        let failed = |reason: String| Error::NoToken { reason };
        let text = match &self.0 {
            Kind::Text(text) => text.to_string(),
            Kind::File(path) => {
                let (shown, path) = (path.display().to_string(), path.clone());
                let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
                let read = read.map_err(|error| failed(error.to_string()))?;
                read.map_err(|error| failed(format!("{shown} cannot be read: {error}")))?
            }
            Kind::Call(call) => call().await.map_err(|error| failed(error.to_string()))?,
        };
        let token = text.trim();
        match token.bytes().all(|byte| byte.is_ascii_graphic()) {
            _ if token.is_empty() => Err(failed("it is empty".to_string())),
            true => Ok(token.into()),
            false => {
                Err(failed("it holds what no token holds: white space, or other than ASCII".to_string()))
            }
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Text(_) => f.write_str("TokenSource(a text)"),
            Kind::File(path) => write!(f, "TokenSource(the file {})", path.display()),
            Kind::Call(_) => f.write_str("TokenSource(by a call)"),
        }
    }
}

/// Two calls are the same where one is a clone of the other.
impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Text(one), Kind::Text(other)) => one == other,
            (Kind::File(one), Kind::File(other)) => one == other,
            (Kind::Call(one), Kind::Call(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for TokenSource {}

impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        TokenSource::text(token)
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        TokenSource::text(token)
    }
}

/// The header that carries a token; what logs headers leaves it out.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The source of one bus and what it gave last; connections and requests share it.
pub(crate) struct Tokens {
    source: Option<TokenSource>,
    /// How long the source may take.
    patience: Duration,
    current: Mutex<Option<Arc<str>>>,
}

impl Tokens {
    pub(crate) fn new(source: Option<TokenSource>, patience: Duration) -> Self {
        Tokens { source, patience, current: Mutex::default() }
    }

    /// Whether asking again may give another token.
    pub(crate) fn can_change(&self) -> bool {
        self.source.as_ref().is_some_and(|source| !matches!(source.0, Kind::Text(_)))
    }

    /// A token fresh from the source; nothing where there is no source.
    pub(crate) async fn fetch(&self) -> Result<Option<Arc<str>>, Error> {
        let Some(source) = &self.source else { return Ok(None) };
        let fetched = tokio::time::timeout(self.patience, source.fetch()).await;
        let late = || Error::NoToken { reason: format!("none came within {:?}", self.patience) };
        let token = fetched.unwrap_or_else(|_| Err(late()))?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(Some(token))
    }

    /// The one in use; the first is fetched.
    pub(crate) async fn current(&self) -> Result<Option<Arc<str>>, Error> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if current.is_some() { Ok(current) } else { self.fetch().await }
    }

    /// A token fresh from the source after a while, however often it takes to get one.
    pub(crate) async fn renew(self: Arc<Self>, after: Duration) -> Arc<str> {
        tokio::time::sleep(after).await;
        let mut pause = PAUSE;
        loop {
            match self.fetch().await {
                Ok(Some(token)) => return token,
                // Without a source nothing is renewed.
                Ok(None) => std::future::pending().await,
                Err(error) => tracing::warn!(%error, "the token could not be renewed"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(source: TokenSource) -> Result<Arc<str>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(source.fetch())
    }

    #[test]
    fn a_token_is_never_shown() {
        let call = TokenSource::call(|| async { Ok::<_, Failure>("secret".to_string()) });
        for source in [TokenSource::text("secret"), TokenSource::from("secret".to_string()), call] {
            assert!(!format!("{source:?}").contains("secret"));
        }
    }

    #[test]
    fn a_file_is_read_each_time_and_its_last_line_end_is_no_part_of_the_token() {
        let path = tapeline_faults::temporary("token");
        let source = TokenSource::file(&path);
        let missing = fetch(source.clone()).unwrap_err().to_string();
        assert!(missing.contains(&format!("{} cannot be read", path.display())), "{missing}");
        for token in ["one", "two"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(fetch(source.clone()).as_deref(), Ok(token));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_no_header_could_carry_is_no_token() {
        for bad in ["", " \n", "a b", "a\nb", "ä", "a\u{7f}"] {
            assert!(matches!(fetch(bad.into()), Err(Error::NoToken { .. })), "{bad:?}");
        }
        assert_eq!(fetch(" ey.J.x_- \n".into()).as_deref(), Ok("ey.J.x_-"));
    }
}
