//! Takes images with labels from the readers of all formats.

use super::{csv::Place, levels::Levels, options::Options};
use crate::{
    Error,
    image_set::{Collector, Label, LabelNames, Labels, Naming, Picture},
};
use digits_dataset::{LabelledImages, MAX_CLASSES};
use std::fmt::Display;

/// The images and labels of a data set that is being read.
pub(super) struct Sink<'a> {
    pub(super) options: &'a Options,
    /// Where the labels are in CSV files.
    pub(super) labels_at: Option<Place>,
    collector: Collector,
    labels: Labels,
    /// Of the part that is being read.
    places: Vec<u16>,
    levels: Option<Levels>,
    notes: Vec<String>,
    /// Names of the labels by number, if the files have them.
    own_names: Option<Vec<String>>,
}

/// The error of an image or a line.
pub(super) fn failed(at: &dyn Display, reason: impl ToString) -> Error {
    Error::input(at.to_string(), reason)
}

impl<'a> Sink<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            labels_at: None,
            collector: Collector::new(options.size),
            labels: Labels::default(),
            places: Vec::new(),
            levels: None,
            notes: Vec::new(),
            own_names: None,
        }
    }

    /// The levels of all images, by a sample of the first file.
    pub(super) fn levels(
        &mut self,
        name: &str,
        sample: impl FnOnce() -> Vec<f32>,
    ) -> Result<Levels, Error> {
        if let Some(levels) = self.levels {
            return Ok(levels);
        }
        let levels = Levels::of(self.options.white, sample(), name)?;
        self.levels = Some(levels);
        self.notes.extend(levels.note());
        Ok(levels)
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn name_labels(&mut self, names: Vec<String>) {
        self.own_names = Some(names);
    }

    /// The place of a label, for [`add`](Self::add).
    pub(super) fn place(&mut self, at: &dyn Display, label: &Label) -> Result<u16, Error> {
        self.labels.place(label).ok_or_else(|| {
            let reason = format!(
                "has another label, {label}, after {MAX_CLASSES} different ones, the most of a data set: check that these are \
                 labels"
            );
            failed(at, reason)
        })
    }

    pub(super) fn add(
        &mut self,
        at: &dyn Display,
        picture: Picture,
        place: u16,
    ) -> Result<(), Error> {
        self.places.push(place);
        self.collector.picture(at, picture)
    }

    pub(super) fn add_encoded(
        &mut self,
        at: &dyn Display,
        bytes: &[u8],
        label: &Label,
    ) -> Result<(), Error> {
        let place = self.place(at, label)?;
        self.places.push(place);
        self.collector.encoded(at, bytes)
    }

    /// Ends a part, whose labels are places until [`finish`](Self::finish).
    pub(super) fn part(&mut self) -> Result<LabelledImages, Error> {
        let places = std::mem::take(&mut self.places);
        self.collector.part(places)
    }

    /// Names of the labels, what is unusual about them, and notes.
    pub(super) fn finish(
        self,
        naming: Naming<'_>,
        parts: &mut [&mut Vec<u16>],
    ) -> Result<(LabelNames, Vec<String>), Error> {
        let naming = Naming {
            own: self.own_names,
            ..naming
        };
        let named = self.labels.number(naming, parts)?;
        let notes = [self.notes, self.collector.notes()].concat();
        Ok((named, notes))
    }
}
