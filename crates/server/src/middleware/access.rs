//! Which roles open which method.

use std::collections::HashMap;

use tonic::Status;

use crate::credentials::{Identity, Role, Roles};

/// The roles that open each method, any of them, by the method's path.
pub type MethodRoles = &'static [(&'static str, Roles)];

/// Decides whether a client may call a method.
pub(crate) struct Access(HashMap<&'static str, Roles>);

impl Access {
    pub(crate) fn new(methods: MethodRoles) -> Self {
        Self(methods.iter().copied().collect())
    }

    /// Whether `client` may call the method of `path`. A method that is not listed needs `admin`.
    ///
    /// # Errors
    /// PERMISSION_DENIED, with the roles of both.
    pub(crate) fn check(&self, path: &str, client: &Identity) -> Result<(), Status> {
        let allowed = self.0.get(path).copied().unwrap_or_default();
        if client.has_any(allowed) {
            return Ok(());
        }
        let (allowed, Identity { name, roles }) = (allowed.with(Role::Admin), client);
        let method = path.rsplit('/').next().unwrap_or_default();
        Err(Status::permission_denied(format!(
            "{method} needs one of the roles {allowed}; the client {name} has {roles}"
        )))
    }

    /// Whether a method changes something: no client that only predicts or watches may call it.
    pub(crate) fn is_change(&self, path: &str) -> bool {
        let readers = Roles::of(&[Role::Predict, Role::Watch]);
        self.0.get(path).is_some_and(|it| !it.intersects(readers))
    }
}
