//! Invalid requests get the right status code and a message that names the field.

use anyhow::Result;
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    ArchitectureSpec, CancelJobRequest, DataSpec, EncodedPictures, GetJobRequest, HiddenLayers,
    JobSpec, PredictRequest, Sgd, SubmitJobRequest, job_spec::Optimizer, predict_request::Images,
};
use digits_testing::{patience, until};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Checks the code, and that the message or the details name the field.
fn check(case: &str, status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{case}: {status}");
    let details = status.get_error_details();
    let in_details = details.bad_request().is_some_and(|bad| {
        bad.field_violations
            .iter()
            .any(|violation| violation.field.contains(field))
    });
    assert!(
        in_details || status.message().contains(field),
        "{case}: {status}"
    );
    assert!(
        !status.message().contains('/'),
        "{case}: a path in {:?}",
        status.message()
    );
}

fn with_rate(learning_rate: f64) -> JobSpec {
    let sgd = Sgd {
        learning_rate: Some(learning_rate),
        ..Sgd::default()
    };
    JobSpec {
        optimizer: Some(Optimizer::Sgd(sgd)),
        ..specs::synthetic(1)
    }
}

fn with_hidden(widths: Vec<u32>) -> JobSpec {
    let hidden = Some(HiddenLayers { widths });
    let architecture = Some(ArchitectureSpec {
        hidden,
        ..ArchitectureSpec::default()
    });
    JobSpec {
        architecture,
        ..specs::synthetic(1)
    }
}

fn with_dataset(name: &str) -> JobSpec {
    let data = Some(DataSpec {
        dataset: Some(name.to_owned()),
        ..DataSpec::default()
    });
    JobSpec {
        data,
        ..specs::notebook()
    }
}

#[tokio::test]
async fn invalid_job_specs_are_refused_by_field() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let spec = specs::synthetic(1);
    let cases = [
        ("learning rate NaN", with_rate(f64::NAN), "learning_rate"),
        ("learning rate 0", with_rate(0.0), "learning_rate"),
        ("learning rate 1e9", with_rate(1e9), "learning_rate"),
        (
            "no epochs",
            JobSpec {
                epochs: Some(0),
                ..spec.clone()
            },
            "epochs",
        ),
        (
            "no batch",
            JobSpec {
                batch_size: Some(0),
                ..spec.clone()
            },
            "batch_size",
        ),
        (
            "a huge batch",
            JobSpec {
                batch_size: Some(2_001),
                ..spec.clone()
            },
            "batch_size",
        ),
        ("hidden 0", with_hidden(vec![0]), "architecture.hidden"),
        (
            "hidden 10⁹",
            with_hidden(vec![1_000_000_000]),
            "architecture.hidden",
        ),
        ("unknown data set", with_dataset("nosuch"), "data.dataset"),
        ("a path as data set", with_dataset("../etc"), "data.dataset"),
        (
            "unknown preset",
            JobSpec {
                preset: "nosuch".into(),
                ..spec.clone()
            },
            "preset",
        ),
        (
            "bad device",
            JobSpec {
                device: Some("tpu".into()),
                ..spec.clone()
            },
            "device",
        ),
        (
            "no such GPU",
            JobSpec {
                device: Some("cuda:77".into()),
                ..spec.clone()
            },
            "device",
        ),
        (
            "bad model",
            JobSpec {
                model: Some("A/B".into()),
                ..spec.clone()
            },
            "model",
        ),
        (
            "a large seed",
            JobSpec {
                seed: Some(1 << 40),
                ..spec.clone()
            },
            "seed",
        ),
    ];
    for (case, spec, field) in cases {
        let status = jobs::submit(&mut training, spec).await.expect_err(case);
        let status = status.downcast::<Status>()?;
        check(case, &status, Code::InvalidArgument, field);
    }

    // All violations are reported at once.
    let worst = JobSpec {
        epochs: Some(0),
        batch_size: Some(0),
        ..with_rate(f64::INFINITY)
    };
    let request = SubmitJobRequest {
        request_id: "worst".into(),
        spec: Some(worst),
    };
    let status = training.submit_job(request).await.expect_err("refused");
    for field in ["epochs", "batch_size", "learning_rate"] {
        check("the worst", &status, Code::InvalidArgument, field);
    }

    let unknown = "0190a000-0000-7000-8000-000000000000".to_owned();
    let request = GetJobRequest {
        job_id: unknown.clone(),
    };
    check(
        "get",
        &training.get_job(request).await.expect_err("none"),
        Code::NotFound,
        "job",
    );
    let request = CancelJobRequest { job_id: unknown };
    check(
        "cancel",
        &training.cancel_job(request).await.expect_err("none"),
        Code::NotFound,
        "job",
    );
    let request = GetJobRequest {
        job_id: "nonsense".into(),
    };
    let status = training.get_job(request).await.expect_err("nonsense");
    check("no id", &status, Code::InvalidArgument, "job_id");
    sandbox.stop().await
}

/// A PNG header that claims to be 40,000 × 40,000 pixels, with no pixel behind it.
fn huge_png() -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(40_000_u32.to_be_bytes());
    ihdr.extend(40_000_u32.to_be_bytes());
    ihdr.extend([8, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(13_u32.to_be_bytes());
    png.extend(&ihdr);
    png.extend(crc32(&ihdr).to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

/// A whole PNG of a grey square.
fn png() -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(64, 64, image::Luma([200]))
        .write_to(&mut out, image::ImageFormat::Png)
        .expect("encoding into memory");
    out.into_inner()
}

#[tokio::test]
async fn invalid_predict_requests_are_refused_by_field() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut client = sandbox.predict().await?;

    let pixels = |bytes: usize| Some(Images::Pixels(vec![0; bytes].into()));
    let picture = |bytes: Vec<u8>| {
        Some(Images::Pictures(EncodedPictures {
            encoded: vec![bytes.into()],
        }))
    };
    let request = |images| PredictRequest {
        images,
        ..PredictRequest::default()
    };
    let status = client
        .predict(request(pixels(784)))
        .await
        .expect_err("nothing served yet");
    check("no model yet", &status, Code::Unavailable, "model");

    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(1)).await?;
    until("an answer", async || {
        Ok(client.predict(request(pixels(784))).await.ok())
    })
    .await?;

    let mut truncated = png();
    truncated.truncate(truncated.len() / 2);
    let bad = Code::InvalidArgument;
    let cases = [
        ("a wrong length", request(pixels(783)), bad, "pixels"),
        ("no pixels", request(pixels(0)), bad, "pixels"),
        ("no images", request(None), bad, "images"),
        (
            "no pictures",
            request(Some(Images::Pictures(EncodedPictures::default()))),
            bad,
            "pictures",
        ),
        (
            "too many images",
            request(pixels(784 * 5_000)),
            bad,
            "pixels",
        ),
        (
            "a truncated PNG",
            request(picture(truncated)),
            bad,
            "pictures",
        ),
        (
            "no picture at all",
            request(picture(b"hello".to_vec())),
            bad,
            "pictures",
        ),
        (
            "40,000 × 40,000",
            request(picture(huge_png())),
            bad,
            "pictures",
        ),
        (
            "unknown model",
            PredictRequest {
                model: "nosuch".into(),
                ..request(pixels(784))
            },
            Code::NotFound,
            "model",
        ),
        (
            "min_probability",
            PredictRequest {
                min_probability: 2.0,
                ..request(pixels(784))
            },
            bad,
            "min_probability",
        ),
    ];
    for (case, request, code, field) in cases {
        let status = client.predict(request).await.expect_err(case);
        check(case, &status, code, field);
    }
    sandbox.stop().await
}
