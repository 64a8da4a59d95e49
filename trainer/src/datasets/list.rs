//! Lists all data sets, for ListDatasets.

use super::{
    catalog::Catalog,
    source::{DEFAULT_SYNTHETIC, DatasetContent, Shape, digits},
};
use digits_dataset::{
    mnist,
    pushed::{Listed as PushedSet, PushedError},
    synthetic,
};

/// An entry of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum DatasetEntry {
    /// Built in or configured.
    Own {
        /// Its name.
        name: String,
        /// One sentence.
        description: String,
        /// Whether it comes from the configuration.
        configured: bool,
        /// Its sizes.
        shape: Shape,
        /// `None` for a data set that is generated for a job.
        content: Option<DatasetContent>,
    },
    /// Pushed to the storage.
    Pushed(Box<PushedSet>),
}

impl Catalog {
    /// Built-in, configured and pushed data sets, in this order. Blocks.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn list(&self) -> Result<Vec<DatasetEntry>, PushedError> {
        let content = DatasetContent {
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
                "digits drawn by this program, as many as the job sets; the same seed draws the same digits",
                None,
            ),
        ];
        let mut listed: Vec<DatasetEntry> = built_in
            .into_iter()
            .map(|(name, description, content)| DatasetEntry::Own {
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
                .map(|(folder, shape, content)| DatasetEntry::Own {
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
                    .map(|set| DatasetEntry::Pushed(Box::new(set))),
            );
        }
        Ok(listed)
    }
}
