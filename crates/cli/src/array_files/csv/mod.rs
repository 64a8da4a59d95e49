//! Images from lines of numbers: CSV as Kaggle, pandas and sklearn's users write it.

mod cells;
mod columns;
mod reader;
mod sample;

pub(super) use cells::is_table;
pub(super) use columns::Place;
pub(super) use reader::read;
