//! The tables of the job database, and the migrations from older versions.

use super::error::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Migrations in order; their number is the `PRAGMA user_version`.
const MIGRATIONS: [&str; 12] = [
    FIRST,
    DURABLE_JOBS,
    PARENTS,
    TRACES,
    PROMOTIONS,
    RUNS,
    QUOTAS,
    WAITING,
    JOURNAL,
    WEBHOOKS,
    TRACKERS,
    SWEEPS,
];

/// Version of the tables of this program.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// `number` is the order of acceptance: the queue's order and the page key. Times are microseconds
/// since 1970; states are numbers of the wire; blobs are messages of the wire contract.
const FIRST: &str = "
CREATE TABLE jobs (
    number             INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 TEXT NOT NULL UNIQUE,
    request_id         TEXT NOT NULL UNIQUE,
    request_key        BLOB NOT NULL,
    name               TEXT NOT NULL,
    requested          BLOB NOT NULL,
    resolved           BLOB NOT NULL,
    state              INTEGER NOT NULL,
    created_us         INTEGER NOT NULL,
    started_us         INTEGER,
    finished_us        INTEGER,
    error              TEXT NOT NULL DEFAULT '',
    device             TEXT NOT NULL DEFAULT '',
    dataset_digest     TEXT NOT NULL DEFAULT '',
    attempts           INTEGER NOT NULL DEFAULT 0,
    crashes            INTEGER NOT NULL DEFAULT 0,
    cancel_requested   INTEGER NOT NULL DEFAULT 0,
    last_event         INTEGER NOT NULL DEFAULT 0,
    epochs             INTEGER NOT NULL,
    epoch              INTEGER NOT NULL DEFAULT 0,
    step               INTEGER NOT NULL DEFAULT 0,
    steps              INTEGER NOT NULL,
    train_seconds      REAL NOT NULL DEFAULT 0,
    validation_seconds REAL NOT NULL DEFAULT 0,
    network            BLOB NOT NULL,
    test               BLOB
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE TABLE labels (
    job   INTEGER NOT NULL REFERENCES jobs (number),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    job      INTEGER NOT NULL REFERENCES jobs (number),
    sequence INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    event    BLOB NOT NULL,
    PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE rows (
    job  INTEGER NOT NULL REFERENCES jobs (number),
    step INTEGER NOT NULL,
    row  BLOB NOT NULL,
    PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    job              INTEGER NOT NULL REFERENCES jobs (number),
    epoch            INTEGER NOT NULL,
    step             INTEGER NOT NULL,
    promotion        INTEGER NOT NULL,
    weights_sha256   TEXT NOT NULL,
    state            INTEGER NOT NULL,
    serving_sequence INTEGER NOT NULL DEFAULT 0,
    planned_us       INTEGER NOT NULL
) STRICT;
CREATE INDEX checkpoints_by_job ON checkpoints (job, number);
CREATE INDEX checkpoints_by_state ON checkpoints (state);
";

/// `spent_us` is the time of training over all attempts, `bundle_step` the step of the newest
/// resume bundle, `crashes` counts the processes that died since that step last grew, and
/// `put_back` is 1 while a job waits that a shutdown released into the queue.
const DURABLE_JOBS: &str = "
ALTER TABLE jobs ADD COLUMN spent_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN bundle_step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN put_back INTEGER NOT NULL DEFAULT 0;
";

/// The checkpoint that a job starts from, or nothing; jobs of earlier versions started from none.
const PARENTS: &str = "ALTER TABLE jobs ADD COLUMN parent TEXT NOT NULL DEFAULT '';";

/// The `traceparent` that a job was submitted under, or nothing.
const TRACES: &str = "ALTER TABLE jobs ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';";

/// `same_data` is 1 for a checkpoint of a job that names no model, which replaces only checkpoints
/// for the same data; `decision` is the decision about the promotion, a message of the wire;
/// `marked` is 1 for a job whose checkpoints are marked on the storage as those of an unfinished one.
const PROMOTIONS: &str = "
ALTER TABLE checkpoints ADD COLUMN same_data INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checkpoints ADD COLUMN decision BLOB;
ALTER TABLE jobs ADD COLUMN marked INTEGER NOT NULL DEFAULT 0;
";

/// Attempts that train outside the trainer's process. `attempt` is the newest of a job, `open` 1
/// while its worker may run, `orphaned` 1 while nobody follows it, `followed` the number of its
/// reports that were taken in, `bundles` names resume bundles on the storage, newest first, and
/// `cleared` is 1 for a job that is over and has left nothing on the storage.
const RUNS: &str = "
CREATE TABLE runs (
    job      INTEGER PRIMARY KEY REFERENCES jobs (number),
    attempt  INTEGER NOT NULL,
    open     INTEGER NOT NULL DEFAULT 0,
    orphaned INTEGER NOT NULL DEFAULT 0,
    followed INTEGER NOT NULL DEFAULT 0,
    bundles  TEXT NOT NULL DEFAULT '',
    cleared  INTEGER NOT NULL DEFAULT 0
) STRICT;
";

/// `submitted_by` is the name of the client that submitted a job, or nothing; `imports` has what
/// clients imported lately.
const QUOTAS: &str = "
ALTER TABLE jobs ADD COLUMN submitted_by TEXT NOT NULL DEFAULT '';
CREATE TABLE imports (
    client  TEXT NOT NULL,
    at_us   INTEGER NOT NULL,
    imports INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;
CREATE INDEX imports_by_client ON imports (client, at_us);
";

/// `waiting` is the number of the cause for which the worker of the open attempt does not run yet, or
/// 0, `waiting_reason` the same in words, and `waiting_us` since when.
const WAITING: &str = "
ALTER TABLE runs ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN waiting_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN waiting_us INTEGER NOT NULL DEFAULT 0;
";

/// The entry of the trainer's journal after which the database is as it is; `detached` is 1 once it
/// was used without the journal. No row without a journal.
const JOURNAL: &str = "
CREATE TABLE journal (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    trainer  TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    detached INTEGER NOT NULL DEFAULT 0
) STRICT;
";

/// `receivers` has the addresses of the webhooks, and `deliveries` the events that wait for each;
/// `event` is the event's id.
const WEBHOOKS: &str = "
CREATE TABLE receivers (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE deliveries (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver INTEGER NOT NULL REFERENCES receivers (number),
    event    TEXT NOT NULL,
    at_us    INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_by_receiver ON deliveries (receiver, number);
";

/// `trackers` has the experiment trackers with where each writes; it tracks the jobs after the
/// number `since`. `tracked` has how many events of a job a tracker has taken in, and its own
/// `mark` there.
const TRACKERS: &str = "
CREATE TABLE trackers (
    name   TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tracked (
    tracker TEXT NOT NULL REFERENCES trackers (name),
    job     INTEGER NOT NULL REFERENCES jobs (number),
    event   INTEGER NOT NULL,
    mark    INTEGER NOT NULL,
    PRIMARY KEY (tracker, job)
) STRICT, WITHOUT ROWID;
";

/// `sweeps` has groups of jobs, and `trials` their members: a job by its `request_id`, once it is
/// submitted. `fields`, `rungs` and `choice` (a value for each field) are JSON; `rung` of a sweep
/// is the newest that has begun. A trial is `ended` once its result is recorded: `checkpoint` with
/// `validation` (a message of the wire, of which `correct` and `loss` are copies), or `error` where
/// its job was not accepted or has no result, or neither where its job shows it.
const SWEEPS: &str = "
CREATE TABLE sweeps (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    request_id       TEXT NOT NULL UNIQUE,
    request_key      BLOB NOT NULL,
    spec             BLOB NOT NULL,
    name             TEXT NOT NULL,
    model            TEXT NOT NULL,
    fields           TEXT NOT NULL,
    rungs            TEXT NOT NULL,
    rung             INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    created_us       INTEGER NOT NULL,
    finished_us      INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    parent           TEXT NOT NULL,
    submitted_by     TEXT NOT NULL
) STRICT;
CREATE INDEX sweeps_by_state ON sweeps (state, number);
CREATE TABLE trials (
    sweep         INTEGER NOT NULL REFERENCES sweeps (number),
    number        INTEGER NOT NULL,
    rung          INTEGER NOT NULL,
    configuration INTEGER NOT NULL,
    choice        TEXT NOT NULL,
    seed          INTEGER NOT NULL,
    epochs        INTEGER NOT NULL,
    request_id    TEXT NOT NULL,
    spec          BLOB NOT NULL,
    ended         INTEGER NOT NULL DEFAULT 0,
    error         TEXT NOT NULL DEFAULT '',
    checkpoint    TEXT NOT NULL DEFAULT '',
    validation    BLOB,
    correct       INTEGER,
    loss          REAL,
    PRIMARY KEY (sweep, number)
) STRICT, WITHOUT ROWID;
";

/// Sets the connection up and brings the tables to this version.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(connection, VERSION)
}

/// Brings the tables to `target`, a version up to this one.
pub(super) fn migrate(connection: &Connection, target: usize) -> Result<(), StoreError> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        return Err(StoreError::Corrupt(format!(
            "its version {version} is newer than this program: use the newer program, or another folder with --state"
        )));
    }
    let migrations = MIGRATIONS.iter().enumerate().take(target).skip(version);
    for (index, migration) in migrations {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const JOB: &str = "INSERT INTO jobs (id, request_id, request_key, name, requested, resolved, state, created_us, epochs, steps, network)
        VALUES ('a', 'b', x'', 'of an older version', x'', x'', 1, 1, 1, 1, x'')";

    #[test]
    fn databases_of_older_versions_are_migrated() {
        for older in 1..MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let connection = Connection::open(folder.path().join("jobs.sqlite")).unwrap();
            for migration in &MIGRATIONS[..older] {
                connection.execute_batch(migration).unwrap();
            }
            connection
                .pragma_update(None, "user_version", older)
                .unwrap();
            connection.execute(JOB, ()).unwrap();
            prepare(&connection).unwrap();
            let job = connection.query_row("SELECT * FROM jobs", (), |row| {
                let text = |column| row.get::<_, String>(column);
                Ok([text("name")?, text("parent")?, text("traceparent")?])
            });
            assert_eq!(
                job.unwrap(),
                ["of an older version", "", ""],
                "version {older}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        let newer = MIGRATIONS.len() + 1;
        connection
            .pragma_update(None, "user_version", newer)
            .unwrap();
        let refused = prepare(&connection).unwrap_err().to_string();
        assert!(refused.contains("newer than this program"), "{refused}");
    }
}
