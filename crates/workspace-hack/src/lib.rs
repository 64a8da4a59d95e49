//! Empty: the dependencies of this crate unify features in development builds, see its
//! `Cargo.toml`.
