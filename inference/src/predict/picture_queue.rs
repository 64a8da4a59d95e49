//! Bounds what pictures take over all requests, by their headers, and decides which is decoded next.
//!
//! A request beyond the bounds is refused at once. Those that are admitted are decoded by turns, as
//! many at a time as there are cores and as fit into memory. The next turn is that of the client
//! whose pictures have cost least (start-time fair queueing), so that a client with many pictures
//! delays another by one turn.

use super::error::PredictError;
use crate::metrics::PictureMetrics;
use digits_picture::Weight;
use digits_server::{ClientKey, Deadline};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// Least cost of a picture, in pixels: to normalize it takes time too.
const LEAST_COST: u64 = 250_000;
/// Weight of the earlier turns in the speed of decoding.
const MEMORY_OF_SPEED: f64 = 0.9;

/// Limits over all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureQueueLimits {
    /// Bytes of the files that wait or are decoded.
    pub max_bytes: u64,
    /// Their pixels.
    pub max_pixels: u64,
    /// Bytes that decoding takes.
    pub max_memory: u64,
}

/// What a request has to decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Bytes of its files.
    pub bytes: u64,
    /// Their pixels.
    pub pixels: u64,
}

/// What a turn takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Pixels that are decoded.
    pub pixels: u64,
    /// Bytes of memory at a time.
    pub memory: u64,
}

/// Admits requests and gives turns. Cheap to clone.
#[derive(Clone)]
pub struct PictureQueue {
    shared: Arc<Shared>,
}

struct Shared {
    limits: PictureQueueLimits,
    /// Turns at a time.
    turns: usize,
    metrics: PictureMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    admitted: Load,
    clients: HashMap<ClientKey, ClientQueue>,
    /// Pixels of the client whose turn was the last, when it began.
    now: u64,
    running: usize,
    memory: u64,
    speed: Speed,
}

#[derive(Default)]
struct ClientQueue {
    requests: usize,
    admitted: Load,
    /// Pixels that its turns have taken, or another's while it had nothing to decode.
    pixels: u64,
    waiting: VecDeque<Waiting>,
}

/// A turn that has not begun.
struct Waiting {
    cost: Cost,
    since: SystemTime,
    begin: oneshot::Sender<Turn>,
}

/// A request that is admitted until this is dropped.
pub struct Admitted {
    queue: PictureQueue,
    client: ClientKey,
    load: Load,
}

/// A turn that lasts until this is dropped.
pub struct Turn {
    queue: PictureQueue,
    cost: Cost,
    started: Instant,
}

impl Cost {
    /// The cost of one picture.
    #[must_use]
    pub fn of(weight: Weight) -> Self {
        Self {
            pixels: weight.pixels.max(LEAST_COST),
            memory: weight.memory,
        }
    }

    /// The cost of decoding another picture after this.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        Self {
            pixels: self.pixels + other.pixels,
            memory: self.memory.max(other.memory),
        }
    }
}

impl PictureQueue {
    /// A queue that gives as many turns at a time as there are cores.
    #[must_use]
    pub fn new(limits: PictureQueueLimits) -> Self {
        Self::with_turns(
            limits,
            available_parallelism().map_or(1, |cores| cores.get()),
        )
    }

    fn with_turns(limits: PictureQueueLimits, turns: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                turns,
                metrics: PictureMetrics::new(),
                state: Mutex::default(),
            }),
        }
    }

    /// Admits the pictures of a request. One client gets at most half of what the others leave; a
    /// request of any size is admitted when there is no other.
    ///
    /// # Errors
    ///
    /// [`PredictError::PicturesFull`] when the other requests leave no room, or no time until the
    /// deadline.
    pub fn admit(
        &self,
        client: ClientKey,
        load: Load,
        deadline: Deadline,
    ) -> Result<Admitted, PredictError> {
        let Shared {
            limits,
            turns,
            metrics,
            ..
        } = &*self.shared;
        let mut state = self.lock();
        let has_time = || {
            let time = deadline.instant();
            let time = time.map(|at| at.saturating_duration_since(Instant::now()));
            time.is_none_or(|time| state.wait(client, load) / (*turns as u32) <= time)
        };
        let is_idle = state.admitted == Load::default();
        if !(is_idle || state.has_room(client, load, limits) && has_time()) {
            metrics.refused.increment(1);
            return Err(PredictError::PicturesFull);
        }
        state.admitted.add(load);
        let queue = state.clients.entry(client).or_default();
        queue.requests += 1;
        queue.admitted.add(load);
        state.report(metrics);
        Ok(Admitted {
            queue: self.clone(),
            client,
            load,
        })
    }

    /// Begins all turns that can begin.
    fn begin_turns(&self) {
        loop {
            let Some((cost, begin)) = self.lock().next(&self.shared) else {
                return;
            };
            // If the request has gone, the turn ends here, which begins another.
            drop(begin.send(Turn {
                queue: self.clone(),
                cost,
                started: Instant::now(),
            }));
        }
    }

    /// Locked for moments only.
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Waits for the next turn of this request.
    pub async fn turn(&self, cost: Cost) -> Turn {
        let (begin, begun) = oneshot::channel();
        {
            let mut state = self.queue.lock();
            let now = state.now;
            let queue = state.clients.entry(self.client).or_default();
            if queue.waiting.is_empty() {
                queue.pixels = queue.pixels.max(now);
            }
            queue.waiting.push_back(Waiting {
                cost,
                since: SystemTime::now(),
                begin,
            });
            state.report(&self.queue.shared.metrics);
        }
        self.queue.begin_turns();
        begun
            .await
            .expect("only turns of dropped requests are dropped")
    }
}

impl State {
    fn has_room(&self, client: ClientKey, load: Load, limits: &PictureQueueLimits) -> bool {
        let own = self.clients.get(&client).map(|it| it.admitted);
        let own = own.unwrap_or_default();
        let fits = |limit: u64, all: u64, own: u64, more: u64| {
            own.saturating_add(more) <= limit.saturating_sub(all)
        };
        fits(limits.max_bytes, self.admitted.bytes, own.bytes, load.bytes)
            && fits(
                limits.max_pixels,
                self.admitted.pixels,
                own.pixels,
                load.pixels,
            )
    }

    /// Time that a thread needs for a request, and for what may come before it.
    fn wait(&self, client: ClientKey, load: Load) -> Duration {
        let own = self.clients.get(&client).map_or(0, |it| it.admitted.pixels);
        let shares = self.clients.len() as u64 + u64::from(!self.clients.contains_key(&client));
        let before = self.admitted.pixels.min((own + load.pixels) * shares);
        self.speed.time(before + load.pixels)
    }

    /// Takes the next turn out of the queue, if it can begin.
    fn next(&mut self, shared: &Shared) -> Option<(Cost, oneshot::Sender<Turn>)> {
        if self.running >= shared.turns {
            return None;
        }
        loop {
            let waiting = self.clients.values_mut();
            let waiting = waiting.filter(|queue| !queue.waiting.is_empty());
            let queue = waiting.min_by_key(|queue| queue.pixels)?;
            let Waiting { cost, begin, .. } = queue.waiting.front()?;
            let cost = *cost;
            let is_wanted = !begin.is_closed();
            let memory = self.memory.saturating_add(cost.memory);
            if is_wanted && self.memory > 0 && memory > shared.limits.max_memory {
                return None;
            }
            let Waiting { begin, .. } = queue.waiting.pop_front()?;
            if is_wanted {
                self.now = self.now.max(queue.pixels);
                queue.pixels += cost.pixels;
                self.running += 1;
                self.memory = memory;
                self.report(&shared.metrics);
                return Some((cost, begin));
            }
        }
    }

    fn report(&self, metrics: &PictureMetrics) {
        metrics.queued_bytes.set(self.admitted.bytes as f64);
        metrics.queued_pixels.set(self.admitted.pixels as f64);
        metrics.memory.set(self.memory as f64);
        let oldest = self
            .oldest()
            .and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        metrics.oldest.set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// Since when the oldest turn waits whose request is still wanted.
    fn oldest(&self) -> Option<SystemTime> {
        let wanted = |queue: &ClientQueue| {
            let mut waiting = queue.waiting.iter();
            waiting.find(|it| !it.begin.is_closed()).map(|it| it.since)
        };
        self.clients.values().filter_map(wanted).min()
    }
}

impl Load {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.pixels += other.pixels;
    }

    fn subtract(&mut self, other: Self) {
        self.bytes -= other.bytes;
        self.pixels -= other.pixels;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.admitted.subtract(self.load);
        if let Some(queue) = state.clients.get_mut(&self.client) {
            queue.admitted.subtract(self.load);
            queue.requests -= 1;
            if queue.requests == 0 {
                state.clients.remove(&self.client);
            }
        }
        state.report(&self.queue.shared.metrics);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.queue.lock();
            state.running -= 1;
            state.memory -= self.cost.memory;
            state.speed.add(self.cost.pixels, self.started.elapsed());
            state.report(&self.queue.shared.metrics);
        }
        self.queue.begin_turns();
    }
}

/// Speed of a thread in the last turns.
#[derive(Default)]
struct Speed {
    pixels: f64,
    seconds: f64,
}

impl Speed {
    fn add(&mut self, pixels: u64, time: Duration) {
        self.pixels = MEMORY_OF_SPEED * self.pixels + pixels as f64;
        self.seconds = MEMORY_OF_SPEED * self.seconds + time.as_secs_f64();
    }

    /// Time that pixels take; none before the first turn.
    fn time(&self, pixels: u64) -> Duration {
        let seconds = pixels as f64 * self.seconds / self.pixels.max(1.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
