//! Serving roles on the wire.

use digits_checkpoint::record::Role;
use digits_proto::v1::ServingRole;

/// A role on the wire.
pub(super) fn role_message(role: Role) -> ServingRole {
    match role {
        Role::Primary => ServingRole::Primary,
        Role::Canary => ServingRole::Canary,
        Role::Shadow => ServingRole::Shadow,
    }
}
