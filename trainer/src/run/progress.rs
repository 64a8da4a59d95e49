//! A job's events as lines of the log.

use digits_proto::v1::{WatchJobResponse, watch_job_response::Event};

/// Logs one event.
pub(super) fn log(event: &WatchJobResponse) {
    match &event.event {
        Some(Event::Row(row)) => {
            let validation = row.validation.unwrap_or_default();
            tracing::info!(
                epoch = row.epoch,
                step = row.step,
                train_loss = row.train_loss,
                validation_loss = validation.loss,
                validation_accuracy = validation.accuracy,
                images_per_second = row.samples_per_second.round(),
                "progress"
            );
        }
        Some(Event::Finished(finished)) => {
            if let Some(test) = finished.test {
                tracing::info!(
                    test_loss = test.loss,
                    test_accuracy = test.accuracy,
                    test_images = test.images,
                    "test"
                );
            }
        }
        // The worker logs these itself.
        Some(Event::StateChanged(_) | Event::CheckpointPublished(_)) | None => {}
    }
}
