//! One client of a port, by its address and the name of its token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::pool::Share;

/// What a client holds.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) places: Share,
    pub(crate) watches: Share,
    pub(super) bytes: Share,
    /// The same for each of its tokens.
    tokens: Mutex<HashMap<Arc<str>, Arc<Client>>>,
}

impl Client {
    /// The client at the same address with this token.
    pub(crate) fn with_token(&self, name: &Arc<str>) -> Arc<Self> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(Arc::clone(name)).or_default())
    }
}
