//! Roles of clients: what they may do.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Classify images and report what was right.
    Predict,
    /// Read jobs, checkpoints and what serves.
    Watch,
    /// Submit and cancel jobs, import checkpoints.
    Train,
    /// Change what serves.
    Promote,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles, in the order in which they are named.
    pub const ALL: [Self; 5] = [
        Self::Predict,
        Self::Watch,
        Self::Train,
        Self::Promote,
        Self::Admin,
    ];

    /// Its name in token files and errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Watch => "watch",
            Self::Train => "train",
            Self::Promote => "promote",
            Self::Admin => "admin",
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Every role: what a token has whose line names none.
    pub const ALL: Self = Self::of(&Role::ALL);

    /// The set of these roles.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let mut set = 0;
        let mut index = 0;
        while index < roles.len() {
            set |= 1 << roles[index] as u8;
            index += 1;
        }
        Self(set)
    }

    /// Whether both sets have a role in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The roles of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set and `role`.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | 1 << role as u8)
    }
}

/// Names with commas, such as `watch,train`, or `none`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("none");
        }
        let roles = Role::ALL
            .into_iter()
            .filter(|&role| self.0 & (1 << role as u8) != 0);
        for (index, role) in roles.enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(role.as_str())?;
        }
        Ok(())
    }
}

/// A list of roles that has another word in it, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("roles are predict, watch, train, promote and admin, with commas and without spaces")]
pub struct RolesError;

impl FromStr for Roles {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, RolesError> {
        let mut roles = Self::default();
        for name in text.split(',') {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == name);
            roles.0 |= 1 << role.ok_or(RolesError)? as u8;
        }
        Ok(roles)
    }
}

/// An authenticated client. Clones share its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of its token in the token file; else `jwt:` with the claim `sub` of its JWT, or a name
    /// of its certificate, such as `DNS:loader.example`.
    pub name: Arc<str>,
    /// What it may do.
    pub roles: Roles,
}

impl Identity {
    /// Whether one of the roles `allowed`, or `admin`, is among its roles.
    #[must_use]
    pub const fn has_any(&self, allowed: Roles) -> bool {
        self.roles.intersects(allowed.with(Role::Admin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_as_they_are_written() {
        for text in [
            "predict",
            "watch,train",
            "predict,watch,train,promote,admin",
        ] {
            let roles: Roles = text.parse().expect(text);
            assert_eq!(roles.to_string(), text);
        }
        for text in ["", "predict,", "Predict", "predict watch", "root", "all"] {
            assert_eq!(text.parse::<Roles>(), Err(RolesError), "{text}");
        }
    }

    #[test]
    fn admin_stands_for_every_role() {
        let client = |roles: &[Role]| Identity {
            name: "alice".into(),
            roles: Roles::of(roles),
        };
        for role in Role::ALL {
            assert!(client(&[Role::Admin]).has_any(Roles::of(&[role])));
        }
        let watch = client(&[Role::Watch]);
        assert!(watch.has_any(Roles::of(&[Role::Predict, Role::Watch])));
        assert!(!watch.has_any(Roles::of(&[Role::Promote])));
        assert!(!watch.has_any(Roles::default()));
    }
}
