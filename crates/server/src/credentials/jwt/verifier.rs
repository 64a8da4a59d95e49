//! Finds the client of a JWT. Verified tokens are remembered, so that a request costs no check of
//! a signature.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::super::files::Digest;
use super::super::role_rules::RoleRules;
use super::super::roles::Identity;
use super::error::InvalidJwt;
use super::key_set::KeySet;
use super::token::{Expected, verify};

/// Tokens that are remembered at most.
const MAX_VERIFIED: usize = 4096;

/// Verifies tokens by one set of keys and rules; others need another verifier, which remembers
/// nothing of this one's.
pub(in super::super) struct Verifier {
    expected: Expected,
    keys: Arc<KeySet>,
    rules: Arc<RoleRules>,
    /// By the digest of the token.
    verified: RwLock<HashMap<Digest, Verified>>,
}

struct Verified {
    client: Identity,
    /// Until when the token is accepted, in seconds since 1970.
    until: u64,
}

impl Verifier {
    pub(in super::super) fn new(
        expected: Expected,
        keys: Arc<KeySet>,
        rules: Arc<RoleRules>,
    ) -> Self {
        Self {
            expected,
            keys,
            rules,
            verified: RwLock::default(),
        }
    }

    /// Whether there are keys.
    pub(in super::super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The client of `token`, whose SHA-256 is `digest`, at `now`, in seconds since 1970.
    pub(in super::super) fn client_of(
        &self,
        token: &[u8],
        digest: &Digest,
        now: u64,
    ) -> Result<Identity, InvalidJwt> {
        let verified = self.verified.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = verified.get(digest) {
            let is_valid = now < known.until;
            return is_valid
                .then(|| known.client.clone())
                .ok_or(InvalidJwt::Expired);
        }
        drop(verified);
        let claims = verify(token, &self.keys, &self.expected, now)?;
        let client = Identity {
            name: format!("jwt:{}", claims.subject).into(),
            roles: self.rules.of_claims(&claims.all),
        };
        self.remember(digest, client.clone(), claims.until, now);
        Ok(client)
    }

    fn remember(&self, digest: &Digest, client: Identity, until: u64, now: u64) {
        let verified = self.verified.write();
        let mut verified = verified.unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_VERIFIED {
            verified.retain(|_, known| now < known.until);
        }
        if verified.len() >= MAX_VERIFIED {
            let first = verified.iter().min_by_key(|(_, known)| known.until);
            let first = first.map(|(digest, _)| *digest);
            first.map(|digest| verified.remove(&digest));
        }
        verified.insert(*digest, Verified { client, until });
    }
}

#[cfg(test)]
mod tests;
