//! Tests of the bounds and of the order of turns.

use super::*;
use futures::FutureExt as _;

const LIMITS: PictureQueueLimits = PictureQueueLimits {
    max_bytes: 1_000,
    max_pixels: 10_000,
    max_memory: 100,
};
const NEVER: Duration = Duration::from_secs(3_600);

fn client(number: usize) -> ClientKey {
    ClientKey::from(number)
}

fn load(bytes: u64, pixels: u64) -> Load {
    Load { bytes, pixels }
}

fn cost(pixels: u64, memory: u64) -> Cost {
    Cost { pixels, memory }
}

#[test]
fn a_client_gets_half_of_what_the_others_leave() {
    let queue = PictureQueue::new(LIMITS);
    let admit = |by, load| queue.admit(client(by), load, Deadline::default());
    let refused = |by, load| matches!(admit(by, load), Err(PredictError::PicturesFull));
    let alone = admit(1, load(5_000, 90_000)).expect("a large one alone");
    assert!(refused(2, load(1, 1)));
    drop(alone);
    let first = admit(1, load(500, 10)).expect("half");
    assert!(refused(1, load(1, 10)), "too many bytes");
    let _second = admit(2, load(250, 10)).expect("half of the rest");
    assert!(refused(2, load(1, 10)));
    assert!(refused(3, load(1, 10_000)), "too many pixels");
    let _third = admit(3, load(125, 10)).expect("half of that");
    drop(first);
    admit(3, load(125, 10)).expect("there is room again");
}

#[tokio::test]
async fn clients_take_turns_by_the_pixels_that_they_decode() {
    let queue = PictureQueue::with_turns(LIMITS, 1);
    let admit = |by| queue.admit(client(by), load(1, 1), Deadline::default());
    let (greedy, polite) = (admit(1).expect("fits"), admit(2).expect("fits"));
    let running = greedy.turn(cost(100, 1)).await;
    let mut second = Box::pin(greedy.turn(cost(100, 1)));
    let mut third = Box::pin(greedy.turn(cost(100, 1)));
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    let mut first = Box::pin(polite.turn(cost(150, 1)));
    let mut last = Box::pin(polite.turn(cost(10, 1)));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut last).now_or_never().is_none());
    drop(running);
    let running = first.now_or_never().expect("the polite one is next");
    drop(running);
    let running = second.now_or_never().expect("it has cost less by now");
    drop(running);
    let running = last.now_or_never().expect("150 pixels against 200");
    assert!((&mut third).now_or_never().is_none());
    drop(running);
    third.now_or_never().expect("nobody else waits");
}

#[tokio::test]
async fn turns_wait_for_memory_and_are_not_passed() {
    let queue = PictureQueue::with_turns(LIMITS, 8);
    let all = queue.admit(client(1), load(1, 1), Deadline::default());
    let all = all.expect("fits");
    let (first, _second) = (all.turn(cost(1, 60)).await, all.turn(cost(1, 40)).await);
    let mut large = Box::pin(all.turn(cost(1, 90)));
    assert!((&mut large).now_or_never().is_none());
    let mut small = Box::pin(all.turn(cost(1, 5)));
    drop(first);
    assert!((&mut large).now_or_never().is_none());
    assert!((&mut small).now_or_never().is_none());
    // The request of the large one is cancelled.
    drop(large);
    let another = all.turn(cost(1, 5)).await;
    small.now_or_never().expect("there is memory");
    drop(another);
    assert_eq!(queue.lock().memory, 40);
}

#[tokio::test]
async fn a_request_that_would_be_late_is_refused_at_once() {
    let queue = PictureQueue::with_turns(LIMITS, 1);
    let soon = || Deadline::from(Instant::now() + Duration::from_secs(60));
    let admit = |deadline| queue.admit(client(1), load(1, 1_000), deadline);
    // One pixel a second.
    queue
        .lock()
        .speed
        .add(1_000, 1_000 * Duration::from_secs(1));
    let _alone = admit(soon()).expect("nothing is known to be in its way");
    assert!(matches!(admit(soon()), Err(PredictError::PicturesFull)));
    admit(Deadline::default()).expect("it has time");
    admit(Deadline::from(Instant::now() + NEVER)).expect("it has time");
}

#[tokio::test]
async fn the_oldest_turn_that_waits_is_known() {
    let queue = PictureQueue::with_turns(LIMITS, 1);
    let admit = |by| queue.admit(client(by), load(1, 1), Deadline::default());
    let (one, other) = (admit(1).expect("fits"), admit(2).expect("fits"));
    let running = one.turn(cost(1, 1)).await;
    assert_eq!(queue.lock().oldest(), None, "it does not wait");
    let mut first = Box::pin(other.turn(cost(1, 1)));
    assert!((&mut first).now_or_never().is_none());
    let since = queue.lock().oldest().expect("it waits");
    let mut second = Box::pin(one.turn(cost(1, 1)));
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(queue.lock().oldest(), Some(since));
    drop(first);
    assert!(
        queue.lock().oldest() >= Some(since),
        "of the one that is left"
    );
    drop(running);
    second.now_or_never().expect("its turn");
    assert_eq!(queue.lock().oldest(), None);
}
