//! Writes the model card of a checkpoint: Markdown with the front matter of the Hugging Face hub; and
//! the files beside it in a folder for the hub.

mod card;
mod escape;
mod front_matter;
mod hub;
mod limits;
mod results;

pub use card::markdown;
pub use hub::{config, loader};

#[cfg(test)]
mod tests;
