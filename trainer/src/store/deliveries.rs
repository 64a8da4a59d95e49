//! The outbox of the webhooks: events that receivers have not accepted yet, one row for each
//! receiver. They are written in the transaction that they are about.

use super::{
    error::{StoreError, corrupt},
    handle::Store,
};
use crate::{
    job::now_us,
    wire::cloud_event::{CloudEvent, JobSubject},
};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::collections::BTreeSet;

/// An event that waits for a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Number of the row.
    pub number: i64,
    /// When it was written, in microseconds since 1970.
    pub at_us: i64,
    /// The event.
    pub event: CloudEvent,
}

/// What waits in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events that were removed just now.
    pub removed: u64,
    /// Events that wait, over all receivers.
    pub waiting: u64,
    /// When the oldest of them was written, in microseconds since 1970.
    pub oldest_us: Option<i64>,
}

impl Store {
    /// Sets the addresses that receive events; those that are no longer among them lose what waits
    /// for them, whose number is returned. Writes nothing where they are set already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_receivers(&self, addresses: Vec<String>) -> Result<u64, StoreError> {
        let wanted: BTreeSet<String> = addresses.into_iter().collect();
        let known = self.read(receivers).await?;
        if known == wanted {
            return Ok(0);
        }
        self.write(move |transaction| {
            let mut dropped = 0;
            for gone in known.difference(&wanted) {
                dropped += transaction.execute(
                    "DELETE FROM deliveries
                     WHERE receiver = (SELECT number FROM receivers WHERE address = ?1)",
                    params![gone],
                )?;
                transaction.execute("DELETE FROM receivers WHERE address = ?1", params![gone])?;
            }
            for address in &wanted {
                transaction.execute(
                    "INSERT OR IGNORE INTO receivers (address) VALUES (?1)",
                    params![address],
                )?;
            }
            Ok(dropped as u64)
        })
        .await
    }

    /// Writes an event for each receiver.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_event(&self, event: CloudEvent) -> Result<(), StoreError> {
        self.write(move |transaction| add(transaction, &event))
            .await
    }

    /// The oldest event that waits for a receiver.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_delivery(&self, address: String) -> Result<Option<Delivery>, StoreError> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT deliveries.number, at_us, event, body FROM deliveries
                     JOIN receivers ON receivers.number = receiver
                     WHERE address = ?1 ORDER BY deliveries.number LIMIT 1",
                )?
                .query_row(params![address], |row| {
                    Ok(Delivery {
                        number: row.get(0)?,
                        at_us: row.get(1)?,
                        event: CloudEvent {
                            id: row.get(2)?,
                            body: row.get(3)?,
                        },
                    })
                })
                .optional()?)
        })
        .await
    }

    /// Removes an event that its receiver has accepted, or never will.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_delivery(&self, number: i64) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction
                .prepare_cached("DELETE FROM deliveries WHERE number = ?1")?
                .execute(params![number])?;
            Ok(())
        })
        .await
    }

    /// Removes the oldest events of each receiver beyond the newest `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bound_deliveries(&self, keep: u64) -> Result<Backlog, StoreError> {
        let (most, found) = self.read(backlog).await?;
        if most <= keep {
            return Ok(found);
        }
        self.write(move |transaction| {
            let removed = transaction
                .prepare_cached(
                    "DELETE FROM deliveries WHERE number IN (
                         SELECT number FROM (SELECT number, row_number() OVER (
                             PARTITION BY receiver ORDER BY number DESC) AS age FROM deliveries)
                         WHERE age > ?1)",
                )?
                .execute(params![keep])? as u64;
            let (_, left) = backlog(transaction)?;
            Ok(Backlog { removed, ..left })
        })
        .await
    }
}

/// Counts in the index; of the rows, which have the events, it reads one for each receiver.
const BACKLOG: &str = "
SELECT coalesce(max(waiting), 0), coalesce(sum(waiting), 0), min(oldest) FROM (
    SELECT (SELECT count(*) FROM deliveries WHERE receiver = receivers.number) AS waiting,
           (SELECT at_us FROM deliveries WHERE receiver = receivers.number
            ORDER BY deliveries.number LIMIT 1) AS oldest
    FROM receivers)";

/// The number of events of the receiver with the most, and what waits.
fn backlog(connection: &Connection) -> Result<(u64, Backlog), StoreError> {
    Ok(connection.prepare_cached(BACKLOG)?.query_row([], |row| {
        let backlog = Backlog {
            removed: 0,
            waiting: row.get(1)?,
            oldest_us: row.get(2)?,
        };
        Ok((row.get(0)?, backlog))
    })?)
}

/// Writes the events about a job, if there is a receiver for them.
pub(super) fn add_about(
    transaction: &Transaction<'_>,
    job: i64,
    events: impl FnOnce(&JobSubject) -> Vec<CloudEvent>,
) -> Result<(), StoreError> {
    let received: bool = transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM receivers)")?
        .query_row([], |row| row.get(0))?;
    if !received {
        return Ok(());
    }
    let (id, spec): (String, Vec<u8>) = transaction
        .prepare_cached("SELECT id, resolved FROM jobs WHERE number = ?1")?
        .query_row(params![job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let subject = JobSubject::new(id.parse().map_err(corrupt)?, &spec);
    for event in events(&subject) {
        add(transaction, &event)?;
    }
    Ok(())
}

fn receivers(connection: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let mut query = connection.prepare("SELECT address FROM receivers")?;
    let found = query.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn add(transaction: &Transaction<'_>, event: &CloudEvent) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO deliveries (receiver, event, at_us, body)
             SELECT number, ?1, ?2, ?3 FROM receivers ORDER BY number",
        )?
        .execute(params![event.id, now_us(), event.body])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_supervisor::supervisor;

    fn event(number: u32) -> CloudEvent {
        CloudEvent {
            id: format!("event-{number}"),
            body: "{}".to_owned(),
        }
    }

    async fn next(store: &Store, address: &str) -> Option<String> {
        let next = store.next_delivery(address.to_owned()).await.expect("read");
        next.map(|delivery| delivery.event.id)
    }

    #[tokio::test]
    async fn each_receiver_has_the_newest_events_within_the_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), &supervisor()).expect("opened");
        // Without a receiver nothing is kept.
        store.add_event(event(0)).await.expect("written");
        let backlog = store.bound_deliveries(3).await.expect("bounded");
        assert_eq!(backlog, Backlog::default());
        let addresses = ["a", "b"].map(str::to_owned).to_vec();
        store.set_receivers(addresses).await.expect("set");
        for number in 1..=5 {
            store.add_event(event(number)).await.expect("written");
        }
        let first = store.next_delivery("b".to_owned()).await.expect("read");
        let first = first.expect("an event").number;
        store.remove_delivery(first).await.expect("removed");
        // Two of the five of a, one of the four of b.
        let backlog = store.bound_deliveries(3).await.expect("bounded");
        assert_eq!((backlog.removed, backlog.waiting), (3, 6));
        assert!(backlog.oldest_us.is_some_and(|oldest| oldest <= now_us()));
        assert_eq!(next(&store, "a").await.as_deref(), Some("event-3"));
        assert_eq!(next(&store, "b").await.as_deref(), Some("event-3"));
    }

    #[tokio::test]
    async fn a_receiver_that_is_gone_loses_what_waits_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), &supervisor()).expect("opened");
        let set = async |addresses: &[&str]| {
            let addresses = addresses.iter().map(|it| (*it).to_owned()).collect();
            store.set_receivers(addresses).await.expect("set")
        };
        assert_eq!(set(&["a", "b"]).await, 0);
        store.add_event(event(1)).await.expect("written");
        assert_eq!(set(&["b", "c"]).await, 1);
        assert_eq!(next(&store, "a").await, None);
        assert_eq!(next(&store, "b").await.as_deref(), Some("event-1"));
        assert_eq!(next(&store, "c").await, None);
    }

    #[tokio::test]
    async fn the_backlog_is_counted_in_the_index() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), &supervisor()).expect("opened");
        let plan = store.read(|connection| {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {BACKLOG}"))?;
            let steps = explain.query_map([], |row| row.get::<_, String>("detail"))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?)
        });
        let plan = plan.await.expect("a plan");
        let of_deliveries = plan.iter().filter(|step| step.contains("deliveries"));
        assert!(
            of_deliveries
                .clone()
                .any(|step| step.contains("USING COVERING INDEX"))
        );
        for step in of_deliveries {
            assert!(step.starts_with("SEARCH"), "{plan:?}");
        }
    }
}
