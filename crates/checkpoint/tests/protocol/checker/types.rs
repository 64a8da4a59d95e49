//! Types that actors and model share: keys, operations, answers, events.

use digits_checkpoint::id::CheckpointId;
use jiff::Timestamp;
use object_store::path::Path;
use std::time::Duration;

/// Start of the model's clock.
pub const START: Duration = Duration::from_secs(1_767_225_600);

/// The time `hours` after the start.
pub fn now(hours: u8) -> Timestamp {
    Timestamp::from_second(START.as_secs() as i64 + 3600 * i64::from(hours)).unwrap()
}

/// Number of an interned value.
pub type ValueId = u16;

/// A checkpoint, by the number in its id.
pub type Number = u8;

/// A file of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum File {
    Model,
    Exam,
    Manifest,
    Tombstone,
}

impl File {
    const NAMES: [(Self, &str); 4] = [
        (Self::Model, "model.safetensors"),
        (Self::Exam, "exam.safetensors"),
        (Self::Manifest, "manifest.json"),
        (Self::Tombstone, "tombstone.json"),
    ];
}

/// A key on the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    File(Number, File),
    Record(u8),
    Run(RunKey),
    Journal(JournalKey),
}

/// A key of the journal, by epoch and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JournalKey {
    Epoch(u8),
    Entry(u8, u8),
    Snapshot(u8, u8),
}

impl JournalKey {
    /// Parses what follows the trainer in a key.
    fn parse(parts: &[&str]) -> Self {
        let number = |text: &str| text.parse().unwrap();
        match parts {
            ["epochs", name] => Self::Epoch(number(name.trim_end_matches(".json"))),
            ["journal", epoch, entry] => Self::Entry(number(epoch), number(entry)),
            ["snapshots", name] => {
                let (epoch, entry) = name.trim_end_matches(".sqlite3").split_once('-').unwrap();
                Self::Snapshot(number(epoch), number(entry))
            }
            _ => panic!("no key of a journal: {parts:?}"),
        }
    }

    fn path(self) -> Path {
        match self {
            Self::Epoch(epoch) => format!("trainer/t/epochs/{epoch:020}.json"),
            Self::Entry(epoch, entry) => format!("trainer/t/journal/{epoch:020}/{entry:020}"),
            Self::Snapshot(epoch, entry) => {
                format!("trainer/t/snapshots/{epoch:020}-{entry:020}.sqlite3")
            }
        }
        .into()
    }
}

/// A folder of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JournalFolder {
    Epochs,
    Entries,
    Snapshots,
}

/// The job of all attempts.
pub const JOB: &str = "00000000-0000-7000-8000-0000000000ff";

/// A key of an attempt, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunKey {
    Record(u8),
    Report(u8, u8),
    Bundle(u8, u8),
}

impl RunKey {
    /// Parses what follows the job in a key.
    fn parse(parts: &[&str]) -> Self {
        let number = |text: &str| text.trim_end_matches(".pb").parse().unwrap();
        match parts {
            [attempt, "attempt.pb"] => Self::Record(number(attempt)),
            [attempt, "reports", report] => Self::Report(number(attempt), number(report)),
            [attempt, "bundles", bundle] => Self::Bundle(number(attempt), number(bundle)),
            _ => panic!("no key of an attempt: {parts:?}"),
        }
    }

    fn path(self) -> Path {
        match self {
            Self::Record(attempt) => format!("runs/{JOB}/{attempt}/attempt.pb"),
            Self::Report(attempt, number) => {
                format!("runs/{JOB}/{attempt}/reports/{number:020}.pb")
            }
            Self::Bundle(attempt, number) => format!("runs/{JOB}/{attempt}/bundles/{number:020}"),
        }
        .into()
    }
}

impl Key {
    pub fn parse(path: &Path) -> Self {
        let parts: Vec<_> = path.as_ref().split('/').collect();
        match parts.as_slice() {
            ["checkpoints", id, name] => {
                let file = File::NAMES.iter().find(|(_, known)| known == name);
                Self::File(
                    number(id.parse().unwrap()),
                    file.expect("a file of a checkpoint").0,
                )
            }
            ["serving", "digits", name] => {
                Self::Record(name.trim_end_matches(".json").parse().unwrap())
            }
            ["runs", JOB, rest @ ..] => Self::Run(RunKey::parse(rest)),
            ["trainer", "t", rest @ ..] => Self::Journal(JournalKey::parse(rest)),
            _ => panic!("no key of the protocol: {path}"),
        }
    }

    pub fn path(self) -> Path {
        match self {
            Self::File(number, file) => {
                let (_, name) = File::NAMES[file as usize];
                format!("checkpoints/{}/{name}", id(number)).into()
            }
            Self::Record(sequence) => format!("serving/digits/{sequence:020}.json").into(),
            Self::Run(key) => key.path(),
            Self::Journal(key) => key.path(),
        }
    }

    /// Whether it is a record of the serving log.
    pub fn is_record(self) -> bool {
        matches!(self, Self::Record(_))
    }
}

/// The checkpoint id of a number.
pub fn id(number: Number) -> CheckpointId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

/// The number of a checkpoint id.
pub fn number(id: CheckpointId) -> Number {
    u8::from_str_radix(&id.to_string()[34..], 16).unwrap()
}

/// Progress of a publication in the intent log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Planned,
    Committed,
    Completed,
    Abandoned,
}

/// What a program reports to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A promotion begins; retention's grace time must cover it.
    Begins,
    /// The promotion is over.
    Ends,
    /// The program believes to have written record `sequence`.
    Wrote { sequence: u8, value: ValueId },
    /// The program believes that record `sequence` promoted this checkpoint.
    Promoted { sequence: u8, checkpoint: Number },
    /// The reader serves this checkpoint from now on, with the right weights or not.
    Serves {
        sequence: u8,
        checkpoint: Number,
        right: bool,
    },
    /// A process has opened an epoch of the journal, with these changes applied.
    Opened { epoch: u8, changes: ValueId },
    /// A process was answered that its change is stored, in this epoch.
    Stored { epoch: u8, change: u8 },
    /// An error that no program should meet.
    Unexpected(&'static str),
    /// A point that the exploration must reach.
    Reached(Coverage),
}

/// Points that an exploration must reach; otherwise it would check nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coverage {
    Lost,
    Refused,
    NotPromoted,
    OtherData,
    Reverted,
    Buried,
    Spared,
    Deleted,
    Recovered,
    Abandoned,
    Resumed,
    Adopted,
    ShutOut,
    /// A process that was replaced has taken over again, with what it had applied before.
    Returned,
    Restored,
    Pruned,
}

/// What a program waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitFor {
    /// The grace time of the newest tombstone is over.
    Grace,
    /// All other actors have finished.
    Quiet,
    /// The key exists.
    There(RunKey),
    /// The key exists, or nobody will create it any more.
    ThereOrNever(RunKey),
}

/// A transaction of the trainer's database, about the attempts of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Reads the state alone.
    Read,
    /// Opens the next attempt.
    Begin,
    /// Takes in a report of an attempt by its number.
    TakeIn(u8, u8, Reported),
    /// Closes an attempt whose worker is believed dead.
    Close(u8),
    /// Writes the outcome.
    Finish,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reported {
    Opened,
    /// The row of a step.
    Row(u8),
    /// A bundle by its number and its step.
    Bundle(u8, u8),
    Ended,
}

/// What the database holds of the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Database {
    pub attempt: u8,
    pub open: bool,
    pub followed: u8,
    /// Steps of the rows, in the order of their events.
    pub rows: Vec<u8>,
    /// Attempt, number and step of the bundle to resume from.
    pub bundle: Option<(u8, u8, u8)>,
    pub finished: u8,
    /// The last transaction was refused.
    pub refused: bool,
}

/// An operation of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Put(Key, ValueId),
    Get(Key),
    Head(Key),
    /// Lists the log after a sequence.
    ListLog(u8),
    ListCheckpoints,
    ListJournal(JournalFolder),
    Delete(Key),
    Write(Number, Stage),
    ReadIntents,
    Transact(Transaction),
    Choose(u8),
    Wait(WaitFor),
    Emit(Event),
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To a put: created.
    Created,
    /// To a put: the key exists, truly or not.
    Exists,
    /// To a get or head.
    Found(Option<ValueId>),
    /// To a listing: keys, and the hours in which they were written.
    Keys(Vec<(Key, u8)>),
    /// To a read of the intent log.
    Intents(Vec<(Number, Stage)>),
    /// To a transaction.
    Database(Database),
    /// To a choice.
    Chosen(u8),
    /// To a wait: hours since the start.
    Time(u8),
    /// To the others.
    Done,
}
