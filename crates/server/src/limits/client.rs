//! One client of a port, by its address and the name of its identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::pool::Share;

/// Identities at one address, beyond which those are forgotten that hold nothing.
const MAX_IDLE_IDENTITIES: usize = 1000;

/// What a client holds.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) places: Share,
    pub(crate) watches: Share,
    pub(super) bytes: Share,
    /// The same for each identity at its address.
    identities: Mutex<HashMap<Arc<str>, Arc<Client>>>,
}

impl Client {
    /// The client at the same address with the identity of this name.
    pub(crate) fn with_identity(&self, name: &Arc<str>) -> Arc<Self> {
        let identities = self.identities.lock();
        let mut identities = identities.unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = identities.get(name) {
            return Arc::clone(client);
        }
        // A proxy may bring any number of them.
        if identities.len() >= MAX_IDLE_IDENTITIES {
            identities.retain(|_, client| Arc::strong_count(client) > 1);
        }
        Arc::clone(identities.entry(Arc::clone(name)).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_that_hold_nothing_are_forgotten() {
        let address = Client::default();
        let held = address.with_identity(&"alice".into());
        for number in 0..10 * MAX_IDLE_IDENTITIES {
            address.with_identity(&number.to_string().into());
        }
        assert!(Arc::ptr_eq(&held, &address.with_identity(&"alice".into())));
        let identities = address.identities.lock().expect("no panic");
        assert!(
            identities.len() <= MAX_IDLE_IDENTITIES,
            "{}",
            identities.len()
        );
    }
}
