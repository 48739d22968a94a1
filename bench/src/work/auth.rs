//! What it costs to find out who a client is: the whole of it for tokens that were never seen, beside one bare ES256
//! signature check by the same library, both on this thread and in turns. And what a token that was seen before costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::json;
use tapeline_auth::fetch::Http;
use tapeline_auth::mint::{self, Signer};
use tapeline_auth::{Algorithm, Auth, AuthParts, Settings};
use tapeline_core::Clock;
use tapeline_core::rights::Authority;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_runtime::SystemClock;

use crate::report::{Bound, Goal, Report};
use crate::server::{Target, scratch};
use crate::session::Common;

/// Bytes of an uncompressed point of P-256, which end its file.
const POINT: usize = 65;
/// One turn; then the other's.
const TURN: usize = 100;

/// Settings of `auth`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AuthArgs {
    /// Tokens, each of another subject; not more than are remembered.
    #[arg(long, default_value_t = 4_000)]
    tokens: usize,
}

/// A hub's authority with one key, and tokens that the key signed.
struct Stage {
    auth: Auth,
    point: Vec<u8>,
    tokens: Vec<String>,
}

impl Stage {
    fn new(args: &AuthArgs) -> Result<Self> {
        let told = |told: String| anyhow!(told);
        let pair = mint::pair(Algorithm::Es256).map_err(told)?;
        let path = scratch()?.join("auth.pub");
        std::fs::write(&path, &pair.public).with_context(|| format!("writing {}", path.display()))?;
        let clock = Arc::new(SystemClock::default());
        let mut settings = Settings::default();
        settings.jwt.public_key_file = path.display().to_string();
        settings.jwt.rules.issuer = "https://issuer.example".to_string();
        settings.jwt.rules.audience = vec!["tapeline".to_string()];
        let auth = Auth::start(AuthParts {
            settings,
            listens: vec![SocketAddr::from(([127, 0, 0, 1], 8_000))],
            store: Arc::new(LocalStore::new(clock.clone(), Bounds::default())),
            clock: clock.clone(),
            fetch: Arc::new(Http::new()),
        });
        let signer = Signer::private_key(Algorithm::Es256, pair.private.as_bytes()).map_err(told)?;
        let now_s = clock.now().wall_us / 1_000_000;
        let token = |number| {
            let claims = json!({
                "iss": "https://issuer.example", "aud": "tapeline", "sub": format!("user-{number}"),
                "iat": now_s, "exp": now_s + 3_600, "jti": format!("{number:032x}"),
                "tapeline": {"read": ["metrics", "sentiment:*"], "publish": ["orders:*"],
                             "keys": {"portfolio_id": [format!("p{number}")]}},
            });
            signer.token(&claims, None, "JWT").map_err(told)
        };
        let tokens = (0..args.tokens).map(token).collect::<Result<_>>()?;
        let body: String = pair.public.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body)?;
        let point = der.get(der.len().saturating_sub(POINT)..).unwrap_or_default().to_vec();
        Ok(Stage { auth: auth.map_err(told)?, point, tokens })
    }

    /// Seconds to find out who all of these are.
    fn identify(&self, tokens: &[String]) -> Result<f64> {
        let known = Arc::new(AtomicUsize::new(0));
        let since = Instant::now();
        for token in tokens {
            let known = known.clone();
            let count = move |found: Result<_, _>| {
                known.fetch_add(usize::from(found.is_ok()), Ordering::Relaxed);
            };
            self.auth.identify(token, "127.0.0.1", Box::new(count));
        }
        let seconds = since.elapsed().as_secs_f64();
        ensure!(known.load(Ordering::Relaxed) == tokens.len(), "not every token was believed");
        Ok(seconds)
    }

    /// Seconds to check the signatures of all of these, which lie ready as bytes.
    fn verify(&self, tokens: &[String]) -> Result<f64> {
        let ready = |token: &String| {
            let (signed, signature) = token.rsplit_once('.').context("a token has a signature")?;
            Ok((signed.to_string(), URL_SAFE_NO_PAD.decode(signature)?))
        };
        let ready = tokens.iter().map(ready).collect::<Result<Vec<_>>>()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point);
        let since = Instant::now();
        for (signed, signature) in &ready {
            key.verify(signed.as_bytes(), signature).map_err(|_| anyhow!("a signature is wrong"))?;
        }
        Ok(since.elapsed().as_secs_f64())
    }
}

/// Measures.
pub(crate) fn run(args: &AuthArgs, common: &Common) -> Result<Report> {
    let load = format!("{} tokens of ES256, each with rights of its own, one thread", args.tokens);
    let goals = vec![
        Goal::value("identify / verify", Bound::AtMost(2.0)),
        Goal::value("seen / verify", Bound::AtMost(0.2)),
    ];
    let mut report = Report::new("auth", load, goals);
    for _ in 0..common.rounds {
        let stage = Stage::new(args)?;
        let (mut verified, mut identified) = (0.0, 0.0);
        for tokens in stage.tokens.chunks(TURN) {
            verified += stage.verify(tokens)?;
            identified += stage.identify(tokens)?;
        }
        let seen = stage.identify(&stage.tokens)?;
        let each_us = |seconds: f64| seconds / args.tokens.max(1) as f64 * 1e6;
        report.add(
            Target::Product,
            vec![
                ("verify us", each_us(verified)),
                ("identify us", each_us(identified)),
                ("seen us", each_us(seen)),
                ("identify / verify", identified / verified),
                ("seen / verify", seen / verified),
            ],
        );
    }
    Ok(report)
}
