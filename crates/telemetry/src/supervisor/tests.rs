//! Tests of restarts, backoff and liveness, in virtual time.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

use crate::metrics::{Recorder, Registry, build};

struct Setup {
    supervisor: Supervisor,
    exporter: Registry,
    recorder: Recorder,
    stop: CancellationToken,
    /// How often the task was started.
    starts: Arc<AtomicU32>,
}

impl Setup {
    fn new() -> Self {
        let (exporter, recorder) = build(&[]).expect("a recorder");
        let supervisor =
            metrics::with_local_recorder(&exporter, || Supervisor::new("t", Liveness::default()));
        Self {
            supervisor,
            exporter,
            recorder,
            stop: CancellationToken::new(),
            starts: Arc::default(),
        }
    }

    /// Supervises a task whose n-th run, counted from 1, is `life(n)`.
    fn restart<F>(
        &self,
        repeated: RepeatedDeaths,
        life: impl Fn(u32) -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let starts = Arc::clone(&self.starts);
        metrics::with_local_recorder(&self.exporter, || {
            let task = Task::instance("follower", "digits");
            let stop = self.stop.clone();
            self.supervisor.restart(task, repeated, stop, move || {
                life(starts.fetch_add(1, Ordering::SeqCst) + 1)
            })
        })
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    fn counted(&self, task: &str, deaths: u32) -> bool {
        let line = format!("t_task_deaths_total{{task=\"{task}\"}} {deaths}");
        self.recorder.render().lines().any(|it| it == line)
    }

    /// Waits, an hour of virtual time at most.
    async fn until(&self, check: impl Fn(&Self) -> bool) {
        let wait = async {
            while !check(self) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(3600), wait).await;
        waited.expect("it happens");
    }

    fn is_live(&self) -> bool {
        self.supervisor.liveness().check().is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_dies_twice_is_restarted_and_counted() {
    let setup = Setup::new();
    let task = setup.restart(RepeatedDeaths::FailLiveness, async |life| match life {
        1 => panic!("meant to"),
        2 => {}
        _ => pending().await,
    });
    assert!(setup.counted("follower", 0));
    let begun = Instant::now();
    setup.until(|setup| setup.starts() == 3).await;
    // 100 ms, then 200 ms.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_millis(400), "{took:?}");
    assert!(setup.counted("follower", 2));
    assert!(setup.is_live());
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_keeps_dying_for_five_minutes_fails_liveness() {
    let setup = Setup::new();
    let begun = Instant::now();
    let task = setup.restart(RepeatedDeaths::FailLiveness, async |life| {
        panic!("death {life}")
    });
    setup.until(|setup| !setup.is_live()).await;
    let took = begun.elapsed();
    assert!(took >= SPAN_TO_FAIL, "{took:?}");
    assert!(
        took <= SPAN_TO_FAIL + MAX_PAUSE + MAX_PAUSE / 10,
        "{took:?}"
    );
    let deaths = setup.starts();
    assert!((15..25).contains(&deaths), "{deaths}");
    let reason = setup.supervisor.liveness().check().expect_err("failed");
    let expected = format!("follower died {deaths} times in a row");
    assert!(reason.contains(&expected), "{reason}");
    // Restarts continue with growing pauses.
    sleep(MAX_PAUSE * 3).await;
    assert_eq!(setup.starts(), deaths + 3);
    setup.stop.cancel();
    task.await.expect("it ends in the middle of a pause");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_recovers_in_time_stays_live() {
    let setup = Setup::new();
    let begun = Instant::now();
    let fault = SPAN_TO_FAIL - MAX_PAUSE;
    let task = setup.restart(RepeatedDeaths::FailLiveness, move |_| async move {
        assert!(begun.elapsed() > fault, "the fault lasts");
        sleep(HEALTHY_AFTER).await;
    });
    // After the fault each death follows a healthy minute.
    sleep(SPAN_TO_FAIL + HEALTHY_AFTER * 60).await;
    assert!(setup.starts() > 3 * DEATHS_TO_FAIL, "{}", setup.starts());
    assert!(setup.is_live());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn few_deaths_stay_live_however_long_they_span() {
    let setup = Setup::new();
    let mut record = metrics::with_local_recorder(&setup.exporter, || {
        setup.supervisor.record(Task::new("follower"))
    });
    let repeated = RepeatedDeaths::FailLiveness;
    for death in 1..=DEATHS_TO_FAIL {
        assert!(setup.is_live(), "before death {death}");
        record.died("meant to", Duration::ZERO, repeated);
        sleep(SPAN_TO_FAIL).await;
    }
    assert!(!setup.is_live());
}

#[tokio::test(start_paused = true)]
async fn deaths_are_tolerated_where_they_are_far_apart_or_harmless() {
    for (repeated, life) in [
        (RepeatedDeaths::FailLiveness, HEALTHY_AFTER),
        (RepeatedDeaths::Tolerate, Duration::from_secs(1)),
    ] {
        let setup = Setup::new();
        let task = setup.restart(repeated, move |_| sleep(life));
        let many = 6 * DEATHS_TO_FAIL;
        setup.until(move |setup| setup.starts() == many).await;
        assert!(setup.is_live(), "{repeated:?}");
        assert!(setup.counted("follower", many - 1));
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_at_the_shutdown_has_not_died() {
    let setup = Setup::new();
    let stop = setup.stop.clone();
    let task = setup.restart(RepeatedDeaths::FailLiveness, move |_| {
        stop.clone().cancelled_owned()
    });
    tokio::task::yield_now().await;
    setup.stop.cancel();
    task.await.expect("no panic");
    assert_eq!(setup.starts(), 1);
    assert!(setup.counted("follower", 0));
}

/// The log of the tests of one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    /// The lines that contain `part`.
    fn count(&self, part: &str) -> usize {
        let bytes = self.0.lock().expect("no panic");
        let text = String::from_utf8_lossy(&bytes);
        text.lines().filter(|line| line.contains(part)).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_moment_from_which_liveness_fails_is_logged_once() {
    let log = Log::default();
    let _log = log.start();
    let setup = Setup::new();
    let task = setup.restart(RepeatedDeaths::FailLiveness, async |_| panic!("meant to"));
    sleep(SPAN_TO_FAIL / 2).await;
    assert_eq!(log.count("/livez fails from now on"), 0);
    sleep(SPAN_TO_FAIL).await;
    assert!(!setup.is_live());
    assert_eq!(log.count("/livez fails from now on"), 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_death_in_the_shutdown_is_counted_and_no_restart_is_logged() {
    let log = Log::default();
    let _log = log.start();
    let setup = Setup::new();
    let stop = setup.stop.clone();
    let task = setup.restart(RepeatedDeaths::FailLiveness, move |_| {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            panic!("meant to");
        }
    });
    tokio::task::yield_now().await;
    setup.stop.cancel();
    task.await.expect("no panic comes out");
    assert_eq!(setup.starts(), 1);
    assert!(setup.counted("follower", 1));
    assert_eq!(log.count("died during the shutdown"), 1);
    assert_eq!(log.count("is restarted"), 0);
}

#[tokio::test]
async fn the_death_of_a_watched_task_fails_liveness_at_once() {
    let panics = async { panic!("meant to") };
    let ends: [(_, futures::future::BoxFuture<'static, ()>); 3] = [
        (false, Box::pin(async {})),
        (false, Box::pin(panics)),
        (true, Box::pin(async {})),
    ];
    for (stopped, run) in ends {
        let setup = Setup::new();
        if stopped {
            setup.stop.cancel();
        }
        let task = Task::new("only");
        let watched = metrics::with_local_recorder(&setup.exporter, || {
            setup.supervisor.watch(task, setup.stop.clone(), run)
        });
        watched.await.expect("no panic comes out");
        assert_eq!(setup.is_live(), stopped);
        assert!(setup.counted("only", u32::from(!stopped)));
    }
}

#[test]
fn a_thread_is_restarted_until_it_returns() {
    let setup = Setup::new();
    let starts = Arc::clone(&setup.starts);
    let thread = metrics::with_local_recorder(&setup.exporter, || {
        let task = Task::new("push_thread");
        let body = move || {
            assert_eq!(std::thread::current().name(), Some("push-thread"));
            assert!(starts.fetch_add(1, Ordering::SeqCst) == 1, "meant to");
        };
        setup.supervisor.restart_thread(task, || false, body)
    });
    thread
        .expect("a thread")
        .join()
        .expect("no panic comes out");
    assert_eq!(setup.starts(), 2);
    assert!(setup.counted("push_thread", 1));
    assert!(setup.is_live());
}

#[test]
fn a_thread_that_dies_during_the_shutdown_is_not_restarted() {
    let setup = Setup::new();
    let (starts, stopping) = (Arc::clone(&setup.starts), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&stopping);
    let thread = metrics::with_local_recorder(&setup.exporter, || {
        let body = move || {
            starts.fetch_add(1, Ordering::SeqCst);
            panic!("meant to")
        };
        // False after the first death, and true from then on: the shutdown begins in the pause.
        let stopping = move || stop.swap(true, Ordering::SeqCst);
        let task = Task::new("push_thread");
        setup.supervisor.restart_thread(task, stopping, body)
    });
    thread
        .expect("a thread")
        .join()
        .expect("no panic comes out");
    assert_eq!(setup.starts(), 2);
    assert!(stopping.load(Ordering::SeqCst));
}

#[test]
fn the_death_of_a_watched_thread_fails_liveness_at_once() {
    for dies in [true, false] {
        let setup = Setup::new();
        let body = move || assert!(!dies, "meant to");
        let thread = metrics::with_local_recorder(&setup.exporter, || {
            let task = Task::instance("owner", 3);
            setup.supervisor.watch_thread(task, body)
        });
        thread
            .expect("a thread")
            .join()
            .expect("no panic comes out");
        assert_eq!(setup.is_live(), !dies);
        assert!(setup.counted("owner", u32::from(dies)));
    }
}

#[test]
fn pauses_double_up_to_a_bound() {
    for (deaths, milliseconds) in [
        (0, 100),
        (1, 100),
        (2, 200),
        (5, 1_600),
        (9, 25_600),
        (10, 30_000),
        (u32::MAX, 30_000),
    ] {
        let pause = Duration::from_millis(milliseconds);
        assert_eq!(pause_before_restart(deaths), pause, "{deaths}");
    }
}
