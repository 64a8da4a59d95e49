//! One JWT in compact form (RFC 7515, section 7.1): verifies its signature, then its claims.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::InvalidJwt;
use super::key_set::KeySet;

/// Difference between the clocks of the issuer and of this server.
const LEEWAY: Duration = Duration::from_secs(60);
/// Longest token, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Longest `sub`, in characters: with its prefix it must fit into a serving record.
const MAX_SUBJECT_CHARS: usize = 190;
/// Values of the header's `typ`, in lower case (RFC 7519, section 5.1; RFC 9068).
const TYPES: [&str; 4] = ["jwt", "application/jwt", "at+jwt", "application/at+jwt"];

/// Whom tokens must be from and for.
#[derive(Clone, Debug)]
pub(in super::super) struct Expected {
    pub(in super::super) issuer: String,
    pub(in super::super) audience: String,
}

/// The claims of a verified token.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    /// Until when it is accepted, in seconds since 1970.
    pub(super) until: u64,
    pub(super) all: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Verifies `token` at `now`, in seconds since 1970.
pub(super) fn verify(
    token: &[u8],
    keys: &KeySet,
    expected: &Expected,
    now: u64,
) -> Result<Claims, InvalidJwt> {
    let text = Some(token).filter(|token| token.len() <= MAX_BYTES);
    let text = text.and_then(|token| std::str::from_utf8(token).ok());
    let text = text.ok_or(InvalidJwt::Malformed)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(InvalidJwt::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(InvalidJwt::Malformed)?;
    let header: Header = json(header)?;
    let typ = header.typ.map(|typ| typ.to_ascii_lowercase());
    if header.crit.is_some() || typ.is_some_and(|typ| !TYPES.contains(&&*typ)) {
        return Err(InvalidJwt::Header);
    }
    let key = keys.get(header.kid.as_deref());
    let key = key.ok_or(InvalidJwt::UnknownKey)?;
    if !key.is_for(&header.alg) {
        return Err(InvalidJwt::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature);
    let signature = signature.map_err(|_| InvalidJwt::Malformed)?;
    if !key.verify(signed.as_bytes(), &signature) {
        return Err(InvalidJwt::Signature);
    }
    check(json(payload)?, expected, now)
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, InvalidJwt> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| InvalidJwt::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidJwt::Malformed)
}

fn check(all: Map<String, Value>, expected: &Expected, now: u64) -> Result<Claims, InvalidJwt> {
    let text = |name| all.get(name).and_then(Value::as_str);
    let seconds = |name| all.get(name).and_then(Value::as_f64);
    let (issuer, subject) = text("iss").zip(text("sub")).ok_or(InvalidJwt::Claims)?;
    let (expires, begins) = seconds("exp")
        .zip(seconds("nbf"))
        .ok_or(InvalidJwt::Claims)?;
    if issuer != expected.issuer {
        return Err(InvalidJwt::Issuer);
    }
    let is_for_us = |value: &Value| value.as_str() == Some(&expected.audience);
    match all.get("aud").ok_or(InvalidJwt::Claims)? {
        Value::Array(all) if all.iter().any(is_for_us) => {}
        one if is_for_us(one) => {}
        _ => return Err(InvalidJwt::Audience),
    }
    // A cast of a number that is too large gives the largest one.
    let until = (expires as u64).saturating_add(LEEWAY.as_secs());
    if now >= until {
        return Err(InvalidJwt::Expired);
    }
    if begins > now.saturating_add(LEEWAY.as_secs()) as f64 {
        return Err(InvalidJwt::NotYetValid);
    }
    let length = subject.chars().count();
    if !(1..=MAX_SUBJECT_CHARS).contains(&length) || subject.chars().any(char::is_control) {
        return Err(InvalidJwt::Subject);
    }
    Ok(Claims {
        subject: subject.to_owned(),
        until,
        all,
    })
}

#[cfg(test)]
mod tests;
