//! Deletes what a newer snapshot contains.

use super::{entry::Position, store::Journal};
use crate::storage::StorageError;
use futures::future::try_join_all;

/// Snapshots that are kept: the newest, and one for a reader that has just listed it.
const KEPT_SNAPSHOTS: usize = 2;
/// Entries that are deleted at a time.
const CONCURRENT_DELETIONS: usize = 16;

impl Journal {
    /// Deletes all snapshots but the two newest, and the entries of epochs before the older of these.
    /// The last entry of each epoch stays for good: it is the seal, at which the writer of that
    /// epoch finds out that it was replaced.
    ///
    /// Any process may call it, also one that was replaced.
    ///
    /// # Errors
    /// The store's error: repeat it later.
    pub async fn prune(&self) -> Result<(), StorageError> {
        let snapshots = self.listed_snapshots().await?;
        let Some(oldest) = snapshots.len().checked_sub(KEPT_SNAPSHOTS) else {
            return Ok(());
        };
        for &at in &snapshots[..oldest] {
            self.delete_snapshot(at).await?;
        }
        let entries = self.listed_entries().await?;
        let contained = obsolete(&entries, snapshots[oldest].epoch);
        for some in contained.chunks(CONCURRENT_DELETIONS) {
            try_join_all(some.iter().map(|&at| self.delete_entry(at))).await?;
        }
        Ok(())
    }
}

/// The entries, in ascending order, of epochs before `epoch`, without the last one of each. A listing
/// may miss the seal: then the entry before it stays as well.
fn obsolete(entries: &[Position], epoch: u64) -> Vec<Position> {
    let pairs = entries.windows(2);
    let followed = pairs.filter(|pair| pair[0].epoch == pair[1].epoch && pair[0].epoch < epoch);
    followed.map(|pair| pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_each_epoch_stays() {
        let at = |(epoch, number)| Position { epoch, number };
        let entries = [(1, 1), (1, 2), (1, 3), (2, 1), (4, 1), (4, 2), (5, 1)].map(at);
        for (epoch, deleted) in [
            (1, vec![]),
            (2, vec![(1, 1), (1, 2)]),
            (4, vec![(1, 1), (1, 2)]),
            (6, vec![(1, 1), (1, 2), (4, 1)]),
        ] {
            let deleted: Vec<_> = deleted.into_iter().map(at).collect();
            assert_eq!(obsolete(&entries, epoch), deleted, "before {epoch}");
        }
        assert_eq!(obsolete(&[], 3), []);
    }
}
