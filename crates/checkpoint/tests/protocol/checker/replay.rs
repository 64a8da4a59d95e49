//! Represents the state of a running program by the answers that it got so far.
//!
//! The programs are futures of the crate's functions, which can be neither compared nor cloned.
//! They depend on nothing but the answers to their operations, so the answers identify the state:
//! to find the operation after one more answer, the program is replayed from the start with the
//! answers before it. Results are memoized.

use super::{
    sim::Sim,
    types::{Answer, Key, Op},
    values::Table,
};
use futures::future::BoxFuture;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::Poll,
};

/// Index of a program's state.
pub type Node = u32;

/// An actor's program, by the number of its restarts.
pub type Program = Box<dyn Fn(Sim, u8) -> BoxFuture<'static, ()> + Send + Sync>;

struct Place {
    actor: usize,
    life: u8,
    before: Option<(Node, Answer)>,
    /// The next operation; `None` when the program has ended.
    next: Option<Op>,
    /// Whether it wrote a serving record before.
    wrote_record: bool,
    /// The program, until it is continued from this state.
    run: Option<Run>,
}

struct Run {
    sim: Sim,
    program: BoxFuture<'static, ()>,
}

#[derive(Default)]
struct Tree {
    places: Vec<Place>,
    first: HashMap<(usize, u8), Node>,
    after: HashMap<(Node, Answer), Node>,
}

/// All actors' programs and their states.
pub struct Replay {
    pub table: Arc<Table>,
    programs: Vec<Program>,
    tree: Mutex<Tree>,
}

thread_local! {
    /// Time advances only by the sleeps of the programs.
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
}

impl Replay {
    pub fn new(table: Arc<Table>, programs: Vec<Program>) -> Self {
        Self {
            table,
            programs,
            tree: Mutex::default(),
        }
    }

    pub fn actors(&self) -> usize {
        self.programs.len()
    }

    /// The initial state of an actor's program.
    pub fn begin(&self, actor: usize, life: u8) -> Node {
        let tree = &mut *self.tree.lock().unwrap();
        if let Some(known) = tree.first.get(&(actor, life)) {
            return *known;
        }
        let mut run = self.start(actor, life);
        let place = Place {
            actor,
            life,
            before: None,
            next: run.on(&[]),
            wrote_record: false,
            run: Some(run),
        };
        let node = tree.add(place);
        tree.first.insert((actor, life), node);
        node
    }

    /// The next operation.
    pub fn next(&self, node: Node) -> Option<Op> {
        self.tree.lock().unwrap().places[node as usize].next
    }

    /// Whether it wrote a serving record before.
    pub fn wrote_record(&self, node: Node) -> bool {
        self.tree.lock().unwrap().places[node as usize].wrote_record
    }

    /// Whether it read this key before and found nothing.
    pub fn missed(&self, node: Node, key: Key) -> bool {
        let tree = self.tree.lock().unwrap();
        let mut place = &tree.places[node as usize];
        while let Some((before, answer)) = &place.before {
            place = &tree.places[*before as usize];
            let looked =
                matches!(place.next, Some(Op::Get(looked) | Op::Head(looked)) if looked == key);
            if looked && *answer == Answer::Found(None) {
                return true;
            }
        }
        false
    }

    /// The state after `answer`.
    pub fn after(&self, node: Node, answer: Answer) -> Node {
        let tree = &mut *self.tree.lock().unwrap();
        let step = (node, answer);
        if let Some(known) = tree.after.get(&step) {
            return *known;
        }
        let (mut run, answers) = match tree.places[node as usize].run.take() {
            Some(run) => (run, vec![step.1.clone()]),
            None => {
                let place = &tree.places[node as usize];
                (self.start(place.actor, place.life), tree.answers(&step))
            }
        };
        let next = run.on(&answers);
        let from = &tree.places[node as usize];
        let wrote = matches!(from.next, Some(Op::Put(key, _)) if key.is_record())
            && step.1 == Answer::Created;
        let place = Place {
            actor: from.actor,
            life: from.life,
            before: Some(step.clone()),
            wrote_record: from.wrote_record || wrote,
            run: next.is_some().then_some(run),
            next,
        };
        let after = tree.add(place);
        tree.after.insert(step, after);
        after
    }

    /// Number of program states.
    pub fn states(&self) -> usize {
        self.tree.lock().unwrap().places.len()
    }

    fn start(&self, actor: usize, life: u8) -> Run {
        let writer = (actor as u16) << 8 | u16::from(life);
        let sim = Sim::new(self.table.clone(), writer);
        let program = self.programs[actor](sim.clone(), life);
        Run { sim, program }
    }
}

impl Run {
    /// Continues with these answers. Returns the next operation.
    fn on(&mut self, answers: &[Answer]) -> Option<Op> {
        let mut answers = answers.iter();
        let running = std::future::poll_fn(|context| {
            loop {
                // An answer may be pending already: deliver it before polling.
                if let Some(op) = self.sim.next() {
                    match answers.next() {
                        Some(answer) => self.sim.answer(answer.clone()),
                        None => return Poll::Ready(Some(op)),
                    }
                }
                if self.program.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                // No operation: the program sleeps or waits for another thread, which will wake it.
                if self.sim.next().is_none() {
                    return Poll::Pending;
                }
            }
        });
        RUNTIME.with(|runtime| runtime.block_on(running))
    }
}

impl Tree {
    /// All answers up to and including this one.
    fn answers(&self, (node, last): &(Node, Answer)) -> Vec<Answer> {
        let mut answers = vec![last.clone()];
        let mut at = *node;
        while let Some((before, answer)) = &self.places[at as usize].before {
            answers.push(answer.clone());
            at = *before;
        }
        answers.reverse();
        answers
    }

    fn add(&mut self, place: Place) -> Node {
        self.places.push(place);
        Node::try_from(self.places.len() - 1).expect("few places")
    }
}
