//! Logs the events of a job.

use crate::job::Event;

/// Logs one event.
pub(super) fn log(event: &Event) {
    match event {
        Event::Row(row) => tracing::info!(
            epoch = row.epoch,
            step = row.step,
            train_loss = row.train_loss,
            validation_loss = row.validation.loss,
            validation_accuracy = row.validation.accuracy(),
            images_per_second = row.samples_per_second.round(),
            "progress"
        ),
        Event::Finished {
            test: Some(test), ..
        } => tracing::info!(
            test_loss = test.loss,
            test_accuracy = test.accuracy(),
            test_images = test.images,
            "test"
        ),
        // The worker logs these.
        Event::Finished { .. }
        | Event::StateChanged { .. }
        | Event::CheckpointPublished { .. }
        | Event::Publishing(_) => {}
    }
}
