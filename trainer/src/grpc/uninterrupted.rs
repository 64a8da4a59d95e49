//! Changes that go on when their client leaves.

use tonic::Status;

/// Carries a change out with its event, also when the client leaves meanwhile.
pub(super) async fn uninterrupted<T: Send + 'static>(
    change: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let changed = tokio::spawn(change).await;
    changed.unwrap_or_else(|_| Err(Status::internal("an internal error; see the trainer's log")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_change_outlives_its_client() {
        let (change, changed) = oneshot::channel();
        let (event, added) = oneshot::channel();
        let mut call = Box::pin(uninterrupted(async {
            changed.await.expect("changed");
            event.send(()).expect("somebody waits");
            Ok(())
        }));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
        change.send(()).expect("the change goes on");
        added.await.expect("its event too");
    }
}
