//! Takes writing apart into what may be digits: lines, cuts between touching digits, and the
//! segments between them. Geometry only; which segments are digits is for a network to say.

mod cuts;
mod joints;
mod lattice;
mod lines;
mod shape;

pub use lattice::{Lattice, Line, MAX_DIGITS, MAX_SEGMENTS, Segment};
