//! The limit on open files: raised as far as the system allows, and split between connections and
//! everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections leave for the storage, the database, the admin port and new
/// checkpoints. Of a small limit they leave a half.
const RESERVE: u64 = 256;

/// The limit is raised to this at most: some systems have one of a billion, for which the kernel
/// would have to keep tables.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit on open files to the hard limit.
///
/// Shells and systemd start programs with a soft limit of 1,024, for the sake of programs that call
/// `select`; this one does not.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised to {wanted}");
    }
}

/// The connections that a port may have so that the reserve is left.
pub(crate) fn allowed_connections(wanted: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let allowed = within(limit, wanted);
    if allowed < wanted {
        tracing::warn!(
            "the limit on open files ({limit}) leaves room for {allowed} connections instead of {wanted}; raise it (ulimit -n, LimitNOFILE=)"
        );
    }
    allowed
}

fn within(limit: u64, wanted: usize) -> usize {
    let left = limit.saturating_sub(RESERVE).max(limit / 2).max(1);
    usize::try_from(left).map_or(wanted, |left| left.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_reserve() {
        for (limit, allowed) in [
            (1 << 20, 1024),
            (1280, 1024),
            (1279, 1023),
            (1024, 768),
            (512, 256),
            (64, 32),
            (1, 1),
        ] {
            assert_eq!(within(limit, 1024), allowed, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        let before = getrlimit(Resource::Nofile);
        let lowered = Rlimit {
            current: Some(before.maximum.unwrap_or(ENOUGH).min(512)),
            ..before
        };
        setrlimit(Resource::Nofile, lowered).expect("lowered");
        raise_limit();
        let raised = getrlimit(Resource::Nofile);
        assert_eq!(raised.maximum, before.maximum);
        assert_eq!(
            raised.current,
            Some(before.maximum.unwrap_or(ENOUGH).min(ENOUGH))
        );
    }
}
