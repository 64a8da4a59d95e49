//! A user's data set from a folder to a prediction: pushed with the command line, trained on by
//! name, hot-loaded, served.

use anyhow::{Context as _, Result, ensure};
use digits_dataset::{Dataset, Images, LabelledImages, idx};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{
    GetJobRequest, GetModelRequest, PictureNormalization, PredictRequest,
    predict_request::Images as Sent,
};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HEIGHT: usize = 20;
const WIDTH: usize = 12;

/// Labels by number, each drawn as its bits: ten bands of two rows, lit or not, dimmed a little by
/// the image's number.
pub fn bands(labels: usize, train: usize, test: usize) -> Result<Dataset> {
    let part = |count: usize| {
        let of = |index: usize| index % labels;
        let pixels = (0..count).flat_map(|index| {
            (0..HEIGHT * WIDTH).map(move |place| {
                let lit = of(index) >> (place / (2 * WIDTH)) & 1 == 1;
                let dim = (index / labels * 7 + place) % 60;
                if lit { 255 - dim as u8 } else { dim as u8 / 2 }
            })
        });
        LabelledImages {
            images: Images {
                count,
                height: HEIGHT,
                width: WIDTH,
                pixels: pixels.collect(),
            },
            labels: (0..count).map(|index| of(index) as u16).collect(),
        }
    };
    let names = (0..labels).map(|label| match u8::try_from(label) {
        Ok(label) if labels == 26 => char::from(b'a' + label).to_string(),
        _ => format!("sign {label}"),
    });
    Ok(Dataset::new(
        "bands",
        part(train),
        part(test),
        names.collect(),
    )?)
}

/// Writes it as a folder of IDX files.
pub fn folder(sandbox: &Sandbox, name: &str, dataset: &Dataset) -> Result<PathBuf> {
    let dir = sandbox.dir().join(name);
    fs::create_dir(&dir)?;
    let parts = [
        (
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            &dataset.train,
        ),
        (
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
            &dataset.test,
        ),
    ];
    for (images, labels, part) in parts {
        idx::write_images(&dir.join(images), &part.images)?;
        idx::write_labels(&dir.join(labels), &part.labels)?;
    }
    fs::write(dir.join("labels.txt"), dataset.label_names.join("\n"))?;
    Ok(dir)
}

/// `digits` with this storage and this trainer.
pub fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(sandbox.binary("digits"));
    command
        .args(arguments)
        .env("DIGITS_STORAGE", sandbox.storage());
    command.env("XDG_CACHE_HOME", sandbox.dir().join("cache"));
    if let Ok(trainer) = sandbox.trainer() {
        command.env("DIGITS_TRAINER", trainer.grpc());
    }
    if let Ok(inference) = sandbox.inference() {
        command.env("DIGITS_INFERENCE", inference.grpc());
    }
    Ok(command.output()?)
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = digits(sandbox, &arguments)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "digits {arguments:?}: {}\n{errors}",
        output.status
    );
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().context("a document")?;
    Ok(serde_json::from_str(last)?)
}

pub fn push(sandbox: &Sandbox, dir: &Path, name: &str) -> Result<Value> {
    json(
        sandbox,
        &[
            "dataset",
            "push",
            &dir.display().to_string(),
            "--name",
            name,
        ],
    )
}

/// Submits a job on the data set and waits for its end; its id.
async fn train(sandbox: &Sandbox, dataset: &str, at_least: f64) -> Result<String> {
    let flags = "--hidden 64 --learning-rate 0.1 --epochs 4 --batch-size 20 --validate-every 1000 --publish final --detach";
    let mut arguments = vec!["train", "--dataset", dataset];
    arguments.extend(flags.split(' '));
    let submitted = json(sandbox, &arguments)?;
    let id = submitted["job"]["job_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let mut training = sandbox.training().await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    ensure!(job.error.is_empty(), "{}", job.error);
    let accuracy = job.test.context("a test")?.accuracy;
    ensure!(
        accuracy > at_least,
        "the bands are easy, but {accuracy} is right"
    );
    Ok(id)
}

#[tokio::test]
async fn a_users_data_set_is_pushed_trained_on_and_served() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let letters = bands(26, 1_300, 104)?;
    let dir = folder(&sandbox, "letters", &letters)?;
    let receipt = push(&sandbox, &dir, "letters")?;
    assert_eq!(receipt["digest"], letters.digest);
    assert_eq!(receipt["content_was_there"], false);
    let again = push(&sandbox, &dir, "letters")?;
    assert_eq!(
        (&again["content_was_there"], &again["name_was_there"]),
        (&Value::Bool(true), &Value::Bool(true))
    );

    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let id = train(&sandbox, "letters", 0.95).await?;
    let request = GetJobRequest { job_id: id };
    let job = sandbox
        .training()
        .await?
        .get_job(request)
        .await?
        .into_inner()
        .job;
    let job = job.context("a job")?;
    let named = job
        .resolved
        .and_then(|spec| spec.data)
        .and_then(|data| data.dataset);
    assert_eq!(named, Some(format!("letters@{}", letters.digest)));
    assert_eq!(job.dataset_digest, letters.digest);

    let mut client = sandbox.predict().await?;
    let model = until("the letters are served", async || {
        let model = client.get_model(GetModelRequest::default()).await;
        let served = model
            .ok()
            .and_then(|model| model.into_inner().served.into_iter().next());
        Ok(served.and_then(|served| served.checkpoint))
    })
    .await?;
    assert_eq!(model.label_names, letters.label_names);
    assert_eq!(model.picture_normalization(), PictureNormalization::None);
    assert_eq!(model.input.map(|it| (it.height, it.width)), Some((20, 12)));
    assert_eq!(
        model.lineage.context("a lineage")?.dataset_digest,
        letters.digest
    );
    let images = Some(Sent::Pixels(letters.test.images.pixels.clone()));
    let request = PredictRequest {
        images,
        ..PredictRequest::default()
    };
    let predictions = client.predict(request).await?.into_inner().predictions;
    assert_eq!(predictions.len(), 104);
    let right = predictions.iter().zip(&letters.test.labels);
    let right = right.filter(|(it, label)| it.label == letters.label_names[usize::from(**label)]);
    assert!(right.count() > 98);
    let measured = json(&sandbox, &["evaluate", "letters:test"])?;
    assert_eq!(measured["images"], 104);

    // After a push of other data the name refers to the new data.
    let newer = bands(26, 1_326, 104)?;
    push(&sandbox, &folder(&sandbox, "newer", &newer)?, "letters")?;
    let listed = json(&sandbox, &["datasets"])?;
    let pushed: Vec<(&str, &str, bool)> = listed["datasets"]
        .as_array()
        .context("a list")?
        .iter()
        .filter(|it| it["origin"] == "DATASET_ORIGIN_PUSHED")
        .filter_map(|it| {
            Some((
                it["name"].as_str()?,
                it["digest"].as_str()?,
                it["superseded"].as_bool()?,
            ))
        })
        .collect();
    assert_eq!(
        pushed,
        [
            ("letters", &*newer.digest, false),
            ("letters", &letters.digest, true)
        ]
    );
    sandbox.stop().await
}

/// The maximum number of labels.
#[tokio::test]
async fn a_thousand_labels_are_trained_and_served() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let signs = bands(1_000, 8_000, 1_000)?;
    push(&sandbox, &folder(&sandbox, "signs", &signs)?, "signs")?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    // A hundred times chance: a small network in a few seconds.
    train(&sandbox, "signs", 0.1).await?;
    let mut client = sandbox.predict().await?;
    let images = signs.test.images.image(999).context("an image")?.to_vec();
    let answer = until("the signs are served", async || {
        let images = Some(Sent::Pixels(images.clone().into()));
        let request = PredictRequest {
            images,
            ..PredictRequest::default()
        };
        Ok(client.predict(request).await.ok())
    })
    .await?;
    let prediction = &answer.get_ref().predictions[0];
    assert_eq!(prediction.probabilities.len(), 1_000);
    let index = prediction.label_index.context("a label")?;
    let label = format!("sign {index}");
    assert_eq!(prediction.label, label);
    sandbox.stop().await
}

#[tokio::test]
async fn show_and_list_need_no_trainer_and_errors_name_the_remedy() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let letters = bands(26, 260, 52)?;
    let dir = folder(&sandbox, "letters", &letters)?;
    push(&sandbox, &dir, "letters")?;
    let sheet = sandbox.dir().join("sheet.png").display().to_string();
    let name = format!("letters@{}", &letters.digest[..8]);
    let shown = json(&sandbox, &["dataset", "show", &name, "-o", &sheet])?;
    assert_eq!(shown["train_label_counts"], Value::from(vec![10; 26]));
    let drawn = digits(&sandbox, &["dataset", "show", "letters"])?;
    let text = String::from_utf8(drawn.stdout)?;
    assert!(
        text.contains("20x12 pixels, 260 to train on and 52 to test"),
        "{text}"
    );
    assert!(image::open(&sheet)?.width() > 300);
    let listed = json(
        &sandbox,
        &["dataset", "list", "--storage", &sandbox.storage()],
    )?;
    assert_eq!(listed["datasets"][0]["digest"], letters.digest);

    let dir = dir.display().to_string();
    let broken = folder(&sandbox, "broken", &letters)?;
    fs::write(broken.join("labels.txt"), "one\ntwo")?;
    let broken = broken.display().to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["dataset", "push", &dir, "--name", "mnist"],
            64,
            "is the name of a built-in data set",
        ),
        (
            &["dataset", "push", &dir, "--name", "synthetic"],
            64,
            "is the name of a built-in data set",
        ),
        (
            &["dataset", "push", &dir, "--name", "Let ters"],
            64,
            "is not the name of a data set",
        ),
        (&["dataset", "push", &dir], 64, "give --name"),
        (
            &["dataset", "push", &broken, "--name", "broken"],
            66,
            "has label",
        ),
        (
            &["dataset", "show", "nothing"],
            1,
            "no data set nothing was pushed",
        ),
        (
            &["dataset", "show", "letters", "-o", "sheet.gif"],
            64,
            ".png",
        ),
    ];
    for (arguments, code, part) in cases {
        let output = digits(&sandbox, arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(part), "{arguments:?}: {errors}");
    }
    Ok(())
}
