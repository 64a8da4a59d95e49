//! The same content pushed with another picture normalization.

use super::*;

fn handwritten(name: &str) -> Push {
    Push {
        picture_normalization: PictureNormalization::Mnist,
        ..as_name(name)
    }
}

#[tokio::test]
async fn content_pushed_again_with_the_right_normalization_has_it_for_new_jobs() {
    let (storage, store) = memory();
    let first = push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    let digest = first.manifest.digest;
    let before = find(&storage, "shapes").await.unwrap();
    assert_eq!(before.to_string(), format!("shapes@{digest}"));

    let second = push(&storage, dataset(0), handwritten("shapes"))
        .await
        .unwrap();
    assert_eq!(second.record.sequence, 2);
    assert!(second.content_was_there && !second.name_was_there);
    assert_eq!(
        second.manifest.picture_normalization,
        PictureNormalization::Mnist
    );
    let listed = list(&storage).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].manifest, listed[0].superseded),
        (&second.manifest, false)
    );
    // Files and manifest stay as they are: a job that was submitted before keeps what it has.
    let there = manifest(&storage, &digest).await.unwrap().unwrap();
    assert_eq!(there.picture_normalization, PictureNormalization::None);
    let found = find(&storage, &before.to_string()).await.unwrap();
    assert_eq!(found, before);

    let after = find(&storage, "shapes").await.unwrap();
    assert_eq!(after.to_string(), format!("shapes@{digest}+handwriting"));
    assert_eq!(after.to_string().parse::<Pinned>().unwrap(), after);
    let short = format!("shapes@{}+handwriting", &digest[..8]);
    assert_eq!(find(&storage, &short).await.unwrap(), after);

    // Repeated, it changes nothing; and it can be taken back.
    let there = keys(&store).await;
    let again = push(&storage, dataset(0), handwritten("shapes"))
        .await
        .unwrap();
    assert!(again.name_was_there);
    assert_eq!(
        (keys(&store).await, again.manifest),
        (there, second.manifest)
    );
    push(&storage, dataset(0), as_name("shapes")).await.unwrap();
    assert_eq!(find(&storage, "shapes").await.unwrap(), before);
}

#[tokio::test]
async fn each_name_has_its_own_normalization() {
    let (storage, _) = memory();
    push(&storage, dataset(0), handwritten("ink"))
        .await
        .unwrap();
    let plain = push(&storage, dataset(0), as_name("plain")).await.unwrap();
    assert_eq!(
        plain.manifest.picture_normalization,
        PictureNormalization::None
    );
    let reference = |name: &str| format!("{name}@{}", plain.record.digest);
    let resolved = async |name| find(&storage, name).await.unwrap().to_string();
    assert_eq!(resolved("ink").await, reference("ink"));
    assert_eq!(
        resolved("plain").await,
        format!("{}+plain", reference("plain"))
    );
}
