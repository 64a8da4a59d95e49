//! What the actors and the model speak of: keys, operations, answers, events.

use super::values::ValueId;
use digits_checkpoint::id::CheckpointId;
use object_store::path::Path;

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
        }
    }

    /// Whether it lies in the serving log.
    pub fn is_record(self) -> bool {
        matches!(self, Self::Record(_))
    }
}

/// The id that holds this number.
pub fn id(number: Number) -> CheckpointId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

/// The number in an id.
pub fn number(id: CheckpointId) -> Number {
    u8::from_str_radix(&id.to_string()[34..], 16).unwrap()
}

/// How far a checkpoint is, as a ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Planned,
    Committed,
    Done,
    Abandoned,
}

/// What a program tells the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A promotion begins, which retention's grace time is longer than.
    Begins,
    /// It is over.
    Ends,
    /// It was told that this is record `sequence`.
    Wrote { sequence: u8, value: ValueId },
    /// It was told that record `sequence` promoted this checkpoint.
    Promoted { sequence: u8, checkpoint: Number },
    /// It serves this checkpoint from now on, with these weights.
    Serves {
        sequence: u8,
        checkpoint: Number,
        right: bool,
    },
    /// Something happened that no program should meet.
    Unexpected(&'static str),
    /// Something happened that the checker is to have seen.
    Seen(Sight),
}

/// What must be reachable, or the model checks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    Lost,
    Refused,
    HeldBack,
    TakenBack,
    Buried,
    Spared,
    Deleted,
    TakenUp,
    GivenUp,
}

/// What a program waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Until {
    /// The grace time of a tombstone that was written just now is over.
    Grace,
    /// Nobody else has anything left to do.
    Quiet,
}

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Put(Key, ValueId),
    Get(Key),
    Head(Key),
    /// The log beyond a sequence.
    ListLog(u8),
    ListCheckpoints,
    Delete(Key),
    Write(Number, Stage),
    ReadLedger,
    Choose(u8),
    Wait(Until),
    Tell(Event),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Of a put: it was created.
    Created,
    /// Of a put: it was not, or so it is said.
    Exists,
    /// Of a get or head.
    Found(Option<ValueId>),
    /// Of a list: keys, and when they were written.
    Keys(Vec<(Key, u8)>),
    /// Of a read of the ledger.
    Ledger(Vec<(Number, Stage)>),
    /// Of a choice.
    Chosen(u8),
    /// Of a wait: hours since the start.
    Time(u8),
    /// Of the others.
    Done,
}
