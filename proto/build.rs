//! Generates Rust code from the `.proto` files. Uses protox, so that the build needs no `protoc`.

use prost::Message as _;
use std::{error::Error, path::PathBuf};
use tonic_prost_build::Config;

const FILES: [&str; 5] = [
    "digits/v1/training.proto",
    "digits/v1/sweep.proto",
    "digits/v1/checkpoint.proto",
    "digits/v1/inference.proto",
    "inference/grpc_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Needed because tonic-prost-build prints no `rerun-if-changed` if it is given descriptors.
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = Config::new();
    // The names by which messages are found among the descriptors.
    config.enable_type_names();
    tonic_prost_build::configure()
        .codec_path("crate::codec::Codec")
        .bytes(".digits.v1.PredictRequest")
        .bytes(".digits.v1.EncodedPictures")
        .bytes(".inference.ModelInferRequest")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
