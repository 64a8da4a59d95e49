//! What ListDatasets tells.

use super::{Catalog, DEFAULT_SYNTHETIC, Shape, digits};
use digits_dataset::{
    mnist,
    pushed::{Listed as PushedSet, PushedError},
    synthetic,
};

/// What is known of the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// SHA-256, in hexadecimal.
    pub digest: String,
    /// Images of the test.
    pub test: usize,
    /// Images of each label for training and validation; empty when they were not counted.
    pub train_counts: Vec<u64>,
    /// Images of each label for the test; empty when they were not counted.
    pub test_counts: Vec<u64>,
}

/// A line of ListDatasets.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// Of this server.
    Own {
        /// What clients call it.
        name: String,
        /// A sentence about it.
        description: String,
        /// Whether the configuration names it.
        configured: bool,
        /// Its sizes.
        shape: Shape,
        /// What is known of its content; `None` for one that is made as a job asks for it.
        content: Option<Content>,
    },
    /// On the storage.
    Pushed(Box<PushedSet>),
}

impl Catalog {
    /// All of them: built-in ones, those of the configuration, pushed ones. Blocks.
    ///
    /// # Errors
    /// When the storage cannot be asked.
    pub fn list(&self) -> Result<Vec<Listed>, PushedError> {
        let content = Content {
            digest: mnist::content_digest(),
            test: 10_000,
            train_counts: Vec::new(),
            test_counts: Vec::new(),
        };
        let built_in = [
            (
                mnist::NAME,
                "handwritten digits of LeCun, Cortes and Burges: 60,000 to train on and 10,000 to test",
                Some(content),
            ),
            (
                synthetic::NAME,
                "digits drawn by this program, as many as asked for; the same seed draws the same ones",
                None,
            ),
        ];
        let mut listed: Vec<Listed> = built_in
            .into_iter()
            .map(|(name, description, content)| Listed::Own {
                name: name.to_owned(),
                description: description.to_owned(),
                configured: false,
                shape: digits(DEFAULT_SYNTHETIC.train),
                content,
            })
            .collect();
        listed.extend(
            self.folders
                .iter()
                .map(|(folder, shape, content)| Listed::Own {
                    name: folder.name.clone(),
                    description: folder.description.clone(),
                    configured: true,
                    shape: shape.clone(),
                    content: Some(content.clone()),
                }),
        );
        if let Some(pushed) = &self.pushed {
            listed.extend(
                pushed
                    .list()?
                    .into_iter()
                    .map(|set| Listed::Pushed(Box::new(set))),
            );
        }
        Ok(listed)
    }
}
