//! The journal of a trainer's database: takeovers, entries of which it is unknown whether they are
//! stored, and what is deleted. The model checker has the interleavings.

use super::support::{Fault, FaultStore, memory};
use bytes::Bytes;
use digits_checkpoint::{
    Storage, StorageError, WriteGuard,
    journal::{
        AppendError, Fence, Identity, Journal, Observer, Position, Replica, Settled, TakeOverError,
        Writer, take_over,
    },
};
use jiff::Timestamp;
use std::sync::Arc;

/// All changes, one after the other.
#[derive(Clone, Default)]
struct Notes {
    position: Option<Position>,
    text: Vec<u8>,
    restored: u32,
}

impl Replica for Notes {
    type Error = &'static str;

    fn position(&self) -> Option<Position> {
        self.position
    }

    fn apply(&mut self, at: Position, changes: &Bytes) -> Result<(), &'static str> {
        self.text.extend_from_slice(changes);
        self.position = Some(at);
        Ok(())
    }

    fn pass(&mut self, at: Position) {
        self.position = Some(at);
    }

    fn restore(&mut self, at: Position, snapshot: Bytes) -> Result<(), &'static str> {
        *self = Self {
            position: Some(at),
            text: snapshot.to_vec(),
            restored: self.restored + 1,
        };
        Ok(())
    }

    fn begin(&mut self, at: Position) -> Result<Bytes, &'static str> {
        self.position = Some(at);
        Ok(self.text.clone().into())
    }
}

fn journal(storage: &Storage) -> Journal {
    Journal::new(storage.clone(), "t".parse().unwrap())
}

fn identity(nonce: &str) -> Identity {
    Identity {
        nonce: nonce.to_owned(),
        folder: format!("folder of {nonce}"),
        host: "host".to_owned(),
        since: Timestamp::UNIX_EPOCH,
    }
}

async fn begun(storage: &Storage, nonce: &str, notes: &mut Notes) -> Writer {
    take_over(&journal(storage), &identity(nonce), notes)
        .await
        .unwrap()
}

async fn append(writer: &mut Writer, notes: &mut Notes, text: &'static str) {
    let changes = Bytes::from(text);
    let at = writer.append(changes.clone()).await.unwrap();
    notes.apply(at, &changes).unwrap();
}

/// What a process finds that has nothing of its own.
async fn found(storage: &Storage) -> Vec<u8> {
    let mut notes = Notes::default();
    begun(storage, "reader", &mut notes).await;
    notes.text
}

#[tokio::test]
async fn a_takeover_finds_everything_and_shuts_the_last_writer_out() {
    let (storage, _) = memory();
    let mut first = Notes {
        text: b"before ".to_vec(),
        ..Notes::default()
    };
    let mut writer = begun(&storage, "a", &mut first).await;
    append(&mut writer, &mut first, "one ").await;
    writer.beat().await.unwrap();
    append(&mut writer, &mut first, "two ").await;
    let mut second = Notes::default();
    let mut successor = begun(&storage, "b", &mut second).await;
    assert_eq!(second.text, b"before one two ");
    assert_eq!(second.restored, 1);
    let refused = writer.append(Bytes::from("lost")).await;
    assert!(matches!(refused, Err(AppendError::Fenced)), "{refused:?}");
    append(&mut successor, &mut second, "three").await;
    // It comes back with what it had, and reads on from there.
    begun(&storage, "c", &mut first).await;
    assert_eq!(first.text, b"before one two three");
    assert_eq!(first.restored, 0);
}

/// Makes the next write of `key` fail for good: stored or not, nobody hears of it.
fn fail(store: &FaultStore, key: &str, fault: Fault) {
    store.hide(Some(format!("a/prefix/trainer/t/{key}").into()));
    store.set_faults([fault; 5]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_unknown_fate_is_settled_before_the_next_one() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let (storage, store) = memory();
        let mut notes = Notes::default();
        let mut writer = begun(&storage, "a", &mut notes).await;
        let entry = "journal/00000000000000000001/00000000000000000002";
        fail(&store, entry, fault);
        let failed = writer.append(Bytes::from("maybe ")).await;
        assert!(matches!(failed, Err(AppendError::Storage(_))), "{failed:?}");
        store.hide(None);
        store.set_faults([]);
        let settled = writer.settle().await.unwrap();
        let expected = match fault {
            Fault::FailBefore => Settled::Nothing,
            _ => Settled::Stored {
                at: writer.position(),
                changes: Bytes::from("maybe "),
            },
        };
        assert_eq!(settled, expected, "{fault:?}");
        assert_eq!(writer.settle().await.unwrap(), Settled::Nothing);
        writer.append(Bytes::from("sure")).await.unwrap();
        let text = match fault {
            Fault::FailBefore => &b"sure"[..],
            _ => b"maybe sure",
        };
        assert_eq!(found(&storage).await, text, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_roll_goes_on_with_the_next_entry() {
    for at in 0..3 {
        let (storage, store) = memory();
        let mut notes = Notes::default();
        let mut writer = begun(&storage, "a", &mut notes).await;
        append(&mut writer, &mut notes, "one ").await;
        let faults = std::iter::repeat_n(Fault::None, at);
        store.set_faults(faults.chain([Fault::FailBefore; 5]));
        let failed = writer.roll().await;
        assert!(matches!(failed, Err(AppendError::Storage(_))), "{failed:?}");
        store.set_faults([]);
        assert_eq!(writer.settle().await.unwrap(), Settled::Nothing);
        assert_eq!(writer.position().epoch, 2, "failed at {at}");
        append(&mut writer, &mut notes, "two").await;
        assert_eq!(found(&storage).await, b"one two", "failed at {at}");
    }
}

#[tokio::test]
async fn what_snapshots_contain_is_deleted_and_the_seals_stay() {
    let (storage, store) = memory();
    let mut notes = Notes::default();
    let mut writer = begun(&storage, "a", &mut notes).await;
    let journal = journal(&storage);
    for _ in 0..3 {
        append(&mut writer, &mut notes, "x").await;
        append(&mut writer, &mut notes, "y").await;
        let snapshot = Bytes::from(notes.text.clone());
        journal
            .put_snapshot(writer.position(), snapshot)
            .await
            .unwrap();
        writer.roll().await.unwrap();
        notes.pass(writer.position());
        journal.prune().await.unwrap();
    }
    let deleted: Vec<String> = store.deleted().iter().map(ToString::to_string).collect();
    let entry = |epoch, number| format!("a/prefix/trainer/t/journal/{epoch:020}/{number:020}");
    for number in 1..=3 {
        assert!(deleted.contains(&entry(1, number)), "{number}: {deleted:?}");
    }
    assert!(!deleted.contains(&entry(1, 4)), "the seal: {deleted:?}");
    assert!(
        !deleted.iter().any(|key| key.contains("/epochs/")),
        "{deleted:?}"
    );
    // A copy from before what was deleted begins with the newest snapshot.
    let mut old = Notes {
        position: Some(Position {
            epoch: 1,
            number: 2,
        }),
        text: b"x".to_vec(),
        restored: 0,
    };
    begun(&storage, "b", &mut old).await;
    assert_eq!((old.text.as_slice(), old.restored), (&b"xyxyxy"[..], 1));
}

#[tokio::test]
async fn a_database_that_is_ahead_of_its_journal_is_refused() {
    let (storage, _) = memory();
    let mut notes = Notes::default();
    let mut writer = begun(&storage, "a", &mut notes).await;
    append(&mut writer, &mut notes, "one").await;
    for (epoch, number) in [(1, 7), (3, 1)] {
        let position = Some(Position { epoch, number });
        let mut ahead = Notes {
            position,
            ..Notes::default()
        };
        let refused = take_over(&journal(&storage), &identity("b"), &mut ahead).await;
        assert!(
            matches!(refused, Err(TakeOverError::Ahead { .. })),
            "{epoch}"
        );
    }
    let (empty, _) = memory();
    let refused = take_over(&journal(&empty), &identity("b"), &mut notes).await;
    assert!(matches!(refused, Err(TakeOverError::Ahead { .. })));
}

/// A backup of the entries that was made before that of the snapshots.
#[tokio::test(start_paused = true)]
async fn a_backup_with_newer_snapshots_than_entries_begins_with_an_older_one() {
    // In the epoch of the last entry, and in one of which the backup has nothing.
    for rolled in [false, true] {
        let (storage, _) = memory();
        let journal = journal(&storage);
        let mut notes = Notes::default();
        let mut writer = begun(&storage, "a", &mut notes).await;
        append(&mut writer, &mut notes, "one").await;
        let at = Position {
            epoch: 1 + u64::from(rolled),
            number: 9,
        };
        let snapshot = Bytes::from_static(b"one and what is not there");
        journal.put_snapshot(at, snapshot).await.unwrap();
        let mut taken = Notes::default();
        let mut nonce = 0;
        let mut writer = loop {
            nonce += 1;
            let identity = identity(&format!("b{nonce}"));
            match take_over(&journal, &identity, &mut taken).await {
                Ok(writer) => break writer,
                Err(TakeOverError::Lost) if nonce < 5 => {}
                Err(error) => panic!("{rolled}: {error}"),
            }
        };
        assert_eq!(taken.text, b"one", "{rolled}");
        append(&mut writer, &mut taken, "two").await;
        assert!(writer.position().epoch > at.epoch, "{rolled}");
        assert_eq!(found(&storage).await, b"onetwo", "{rolled}");
    }
}

#[tokio::test]
async fn an_observer_sees_whether_the_writer_writes_and_whether_it_has_ended() {
    let (storage, _) = memory();
    let mut observer = Observer::new(journal(&storage));
    let sight = observer.look().await.unwrap();
    assert_eq!((sight.holder, sight.closed), (None, false));
    let mut writer = begun(&storage, "a", &mut Notes::default()).await;
    for beats in [false, true, false] {
        let moved = observer.look().await.unwrap();
        let host = moved.holder.map(|it| it.host);
        assert_eq!(host.as_deref(), Some("host"));
        if beats {
            writer.beat().await.unwrap();
            writer.beat().await.unwrap();
        }
        let sight = observer.look().await.unwrap();
        assert_eq!((sight.moved, sight.closed), (beats, false));
    }
    writer.close().await.unwrap();
    // Also for one that sees it for the first time.
    for mut observer in [observer, Observer::new(journal(&storage))] {
        assert!(observer.look().await.unwrap().closed);
    }
    begun(&storage, "b", &mut Notes::default()).await;
    assert!(
        !Observer::new(journal(&storage))
            .look()
            .await
            .unwrap()
            .closed
    );
}

#[tokio::test]
async fn a_fenced_process_writes_nothing_else() {
    let (storage, _) = memory();
    let fence = Fence::new(journal(&storage), &identity("a"));
    let guarded = storage.clone().guarded(Arc::new(fence.clone()));
    let create = async |key: &'static str| guarded.create(key, Bytes::from("x")).await;
    let fenced = |result| matches!(result, Err(StorageError::Fenced { .. }));
    assert!(fenced(create("serving/m/0").await), "it holds nothing yet");
    guarded.probe().await.unwrap();
    let mut writer = begun(&storage, "a", &mut Notes::default()).await;
    fence.open(writer.position().epoch);
    create("serving/m/1").await.unwrap();
    // Its own next epoch is no reason to stop.
    writer.roll().await.unwrap();
    create("serving/m/2").await.unwrap();
    begun(&storage, "b", &mut Notes::default()).await;
    assert!(fenced(create("serving/m/3").await));
    assert!(fence.lost().is_cancelled());
    assert!(fence.check("checkpoints/x").await.is_err());
}
