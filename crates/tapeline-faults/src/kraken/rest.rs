//! The one REST call that the stand-in answers: `GetWebSocketsToken`, to who signs as the venue demands. The signature is
//! checked here from the venue's own words; a wrong one gets the venue's answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::account::Account;

/// The path of the call.
pub(super) const PATH: &str = "/0/private/GetWebSocketsToken";

/// A request as far as it matters.
#[derive(Debug, Default)]
struct Request {
    path: String,
    key: String,
    sign: String,
    body: String,
}

/// Reads one request, answers it and closes.
pub(super) async fn serve(stream: TcpStream, answer: impl FnOnce(&str, &str, &str, &str) -> String) {
    let mut stream = BufReader::new(stream);
    let Some(Request { path, key, sign, body }) = read(&mut stream).await else { return };
    let told = answer(&path, &key, &sign, &body);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        told.len()
    );
    // Who asked may have gone.
    let _ = stream.get_mut().write_all((head + &told).as_bytes()).await;
    let _ = stream.get_mut().shutdown().await;
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    let mut length = 0;
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    request.path = line.strip_prefix("POST ")?.split(' ').next()?.to_string();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim().to_string();
        match name.to_ascii_lowercase().as_str() {
            "api-key" => request.key = value,
            "api-sign" => request.sign = value,
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

/// What the venue says to this request.
pub(super) fn answer(account: &mut Account, path: &str, key: &str, sign: &str, body: &str) -> String {
    match check(account, path, key, sign, body) {
        Ok(()) => format!(r#"{{"error":[],"result":{{"token":"{}","expires":900}}}}"#, account.issue()),
        Err(error) => format!(r#"{{"error":["{error}"]}}"#),
    }
}

fn check(account: &mut Account, path: &str, key: &str, sign: &str, body: &str) -> Result<(), &'static str> {
    let (known, secret) = account.key.clone().ok_or("EGeneral:Permission denied")?;
    if path != PATH {
        return Err("EGeneral:Unknown method");
    }
    if key != known {
        return Err("EAPI:Invalid key");
    }
    let nonce = body.split('&').find_map(|pair| pair.strip_prefix("nonce=")).ok_or("EAPI:Invalid nonce")?;
    if sign != signature(&secret, path, nonce, body) {
        return Err("EAPI:Invalid signature");
    }
    let number: u64 = nonce.parse().map_err(|_| "EAPI:Invalid nonce")?;
    if account.takes_nonce(number) { Ok(()) } else { Err("EAPI:Invalid nonce") }
}

/// `API-Sign` of a request with this secret, in base64.
pub(super) fn signature(secret: &str, path: &str, nonce: &str, body: &str) -> String {
    let secret = STANDARD.decode(secret).expect("a secret is in base64");
    let inner = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA512, &secret);
    STANDARD.encode(hmac::sign(&key, &[path.as_bytes(), inner.as_ref()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_venues_own_example() {
        let secret =
            "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
        let body = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
        let sign = signature(secret, "/0/private/AddOrder", "1616492376594", body);
        assert_eq!(
            sign,
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
        );
    }

    #[test]
    fn a_token_is_for_who_signs_and_no_nonce_comes_twice() {
        let secret = STANDARD.encode("a secret");
        let mut account = Account::default();
        account.key = Some(("key".to_string(), secret.clone()));
        let mut ask = |nonce: &str, sign: Option<&str>| {
            let body = format!("nonce={nonce}");
            let sign = sign.map_or_else(|| signature(&secret, PATH, nonce, &body), str::to_string);
            answer(&mut account, PATH, "key", &sign, &body)
        };
        assert!(ask("5", None).contains(r#""token":"token-1""#));
        assert!(ask("5", None).contains("EAPI:Invalid nonce"));
        assert!(ask("6", Some("wrong")).contains("EAPI:Invalid signature"));
        assert!(ask("7", None).contains("token-2"));
    }
}
