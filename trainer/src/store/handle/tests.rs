//! Tests of which writes share a transaction, and of isolation when one fails.

use super::*;
use crate::test_supervisor::supervisor;
use digits_testing::patience;
use std::{sync::mpsc as channel, thread};

/// A database with one small table and no room for anything large.
fn small(folder: &Path) -> Store {
    let store = Store::open(folder, &supervisor()).expect("opened");
    let made = store.write_blocking(|transaction| {
        transaction.execute_batch("CREATE TABLE notes (note BLOB NOT NULL) STRICT")?;
        let pages: i64 = transaction.pragma_query_value(None, "page_count", |row| row.get(0))?;
        transaction.pragma_update(None, "max_page_count", pages + 4)?;
        Ok(())
    });
    made.expect("made");
    store
}

fn insert(transaction: &Transaction<'_>, bytes: usize) -> Result<(), StoreError> {
    transaction.execute("INSERT INTO notes VALUES (zeroblob(?1))", [bytes])?;
    Ok(())
}

fn count(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?)
}

/// Holds the database back until what is sent meanwhile waits there together.
fn together<T: Send>(store: &Store, tasks: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    let (open, gate) = channel::channel::<()>();
    let (entered, inside) = channel::channel();
    let (task, held) = write(move |_| {
        entered.send(()).expect("heard");
        gate.recv_timeout(patience()).expect("opened");
        Ok(())
    });
    let message = Message::Write(task);
    store.tasks.blocking_send(message).expect("sent");
    inside.recv_timeout(patience()).expect("held");
    let answers = thread::scope(|scope| {
        let mut running = Vec::new();
        for (index, task) in tasks.into_iter().enumerate() {
            running.push(scope.spawn(task));
            // In their order, which is that of the queue.
            let deadline = std::time::Instant::now() + patience();
            while store.tasks.max_capacity() - store.tasks.capacity() <= index {
                assert!(std::time::Instant::now() < deadline, "it does not wait");
                thread::yield_now();
            }
        }
        open.send(()).expect("heard");
        running
            .into_iter()
            .map(|task| task.join().expect("ended"))
            .collect()
    });
    held.blocking_recv().expect("answered").expect("committed");
    answers
}

#[test]
fn a_write_without_room_takes_back_its_group_and_no_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = small(folder.path());
    let answers = together(
        &store,
        vec![
            Box::new(|| {
                store
                    .write_blocking(|transaction| insert(transaction, 1))
                    .map(|()| 0)
            }),
            Box::new(|| {
                store
                    .write_blocking(|transaction| insert(transaction, 1 << 20))
                    .map(|()| 0)
            }),
            Box::new(|| store.read_blocking(count)),
            Box::new(|| {
                store
                    .write_blocking(|transaction| insert(transaction, 1))
                    .map(|()| 0)
            }),
        ],
    );
    for refused in &answers[..2] {
        assert!(
            refused.as_ref().is_err_and(StoreError::is_full),
            "{refused:?}"
        );
    }
    // The write behind is in a transaction of its own, and the read sees it.
    assert!(matches!(answers[3], Ok(0)), "{:?}", answers[3]);
    assert!(matches!(answers[2], Ok(1)), "{:?}", answers[2]);
}

#[test]
fn a_write_that_fails_alone_leaves_its_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = small(folder.path());
    let answers = together(
        &store,
        vec![
            Box::new(|| store.write_blocking(|transaction| insert(transaction, 1))),
            Box::new(|| {
                store.write_blocking(|transaction| {
                    insert(transaction, 1)?;
                    Err(StoreError::NoSuchJob)
                })
            }),
            Box::new(|| store.write_blocking(|transaction| insert(transaction, 1))),
        ],
    );
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(StoreError::NoSuchJob)));
    assert_eq!(store.read_blocking(count).expect("read"), 2);
}

#[test]
fn a_panic_of_the_owning_thread_fails_liveness() {
    let folder = tempfile::tempdir().expect("a folder");
    let supervisor = supervisor();
    let store = Store::open(folder.path(), &supervisor).expect("opened");
    let died = store.write_blocking::<()>(|_| panic!("meant to"));
    assert!(matches!(died, Err(StoreError::Closed)), "{died:?}");
    let begun = std::time::Instant::now();
    while supervisor.liveness().check().is_ok() {
        assert!(begun.elapsed() < patience(), "liveness does not fail");
        thread::yield_now();
    }
    let later = store.read_blocking(count);
    assert!(matches!(later, Err(StoreError::Closed)), "{later:?}");
}
