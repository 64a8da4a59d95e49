//! Lists all data sets, for ListDatasets.

use super::{
    catalog::Catalog,
    source::{DEFAULT_SYNTHETIC, DatasetContent, Shape, digits},
};
use digits_dataset::{
    mnist,
    pushed::{ListPosition, Listed as PushedSet, PushedError},
    synthetic,
};
use std::{fmt, str::FromStr};

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

/// Where a data set is in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Built in or configured, by name.
    Own(String),
    /// Pushed.
    Pushed(ListPosition),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => f.write_str(name),
            Self::Pushed(at) => write!(f, "{}@{}", at.name, at.sequence),
        }
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some((name, sequence)) = text.split_once('@') else {
            return Ok(Self::Own(text.to_owned()));
        };
        Ok(Self::Pushed(ListPosition {
            name: name.parse().map_err(|_| ())?,
            sequence: sequence.parse().map_err(|_| ())?,
        }))
    }
}

impl DatasetEntry {
    /// Where it is in the list.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Own { name, .. } => Position::Own(name.clone()),
            Self::Pushed(set) => Position::Pushed(set.position()),
        }
    }
}

impl Catalog {
    /// At most `limit` data sets after a position, or from the first one on: built-in, configured
    /// and pushed ones, in this order. Blocks.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn list(
        &self,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<DatasetEntry>, PushedError> {
        let mut listed = match &after {
            None => self.own(),
            Some(Position::Own(last)) => {
                let is_before =
                    |entry: &DatasetEntry| entry.position() != Position::Own(last.clone());
                self.own()
                    .into_iter()
                    .skip_while(is_before)
                    .skip(1)
                    .collect()
            }
            Some(Position::Pushed(_)) => Vec::new(),
        };
        listed.truncate(limit);
        if let Some(pushed) = &self.pushed
            && listed.len() < limit
        {
            let after = match after {
                Some(Position::Pushed(last)) => Some(last),
                Some(Position::Own(_)) | None => None,
            };
            let sets = pushed.list(after.as_ref(), limit - listed.len())?;
            let sets = sets.into_iter().map(Box::new);
            listed.extend(sets.map(DatasetEntry::Pushed));
        }
        Ok(listed)
    }

    /// Built-in and configured data sets.
    fn own(&self) -> Vec<DatasetEntry> {
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
        listed
    }
}
