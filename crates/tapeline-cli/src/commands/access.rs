//! With which token a hub is asked: from the command line, a file or the environment. It is never printed.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use tapeline::TokenSource;

/// Taken where no flag gives one.
const VARIABLE: &str = "TAPELINE_TOKEN";

/// Flags of every command that talks to a hub.
#[derive(clap::Args, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// A file with the token or API key for a hub that wants one; read again when the token ends.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token itself. Other users of this machine can see it here: rather use a file, or the variable TAPELINE_TOKEN.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
}

impl Access {
    /// The token as it is now, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is no token.
    pub(crate) fn token(&self) -> anyhow::Result<Option<String>> {
        let (text, from) = match (&self.token_file, &self.token) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path);
                let text =
                    text.with_context(|| format!("the token file {} cannot be read", path.display()))?;
                (text, path.display().to_string())
            }
            (None, Some(token)) => (token.clone(), "--token".to_string()),
            (None, None) => match std::env::var(VARIABLE) {
                Ok(text) if !text.trim().is_empty() => (text, VARIABLE.to_string()),
                _ => return Ok(None),
            },
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{from} holds no token");
        }
        Ok(Some(token.to_string()))
    }

    /// The same for the library.
    pub(crate) fn source(&self) -> Option<TokenSource> {
        match (&self.token_file, &self.token) {
            (Some(path), _) => Some(TokenSource::file(path)),
            (None, Some(token)) => Some(TokenSource::text(token)),
            // The library looks into the environment itself.
            (None, None) => None,
        }
    }

    /// Whether asking again may give another token.
    pub(crate) fn can_change(&self) -> bool {
        self.token_file.is_some()
    }

    /// Whether any token is given.
    pub(crate) fn is_given(&self) -> bool {
        self.can_change() || self.token.is_some() || std::env::var_os(VARIABLE).is_some()
    }

    /// What to do about a hub that lets nobody in without a token, or not with this one.
    pub(crate) fn remedy(&self) -> &'static str {
        match self.is_given() {
            true => "the hub does not take the token; tapeline token show says what is in it",
            false => "the hub wants a token: give --token-file or --token, or set TAPELINE_TOKEN",
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "given");
        f.debug_struct("Access").field("token_file", &self.token_file).field("token", &token).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_by_debug() {
        let access = Access { token: Some("secret".into()), token_file: None };
        assert!(!format!("{access:?}").contains("secret"));
        assert_eq!(access.token().unwrap().as_deref(), Some("secret"));
    }

    #[test]
    fn what_is_no_token_is_an_error_that_names_where_it_was_given_and_not_what() {
        for bad in ["", "two words", "line\nline"] {
            let told = Access { token: Some(bad.into()), token_file: None }.token().unwrap_err().to_string();
            assert_eq!(told, "--token holds no token");
        }
        let missing = Access { token: None, token_file: Some("no/such/file".into()) };
        let told = missing.token().unwrap_err().to_string();
        assert_eq!(told, "the token file no/such/file cannot be read");
    }
}
