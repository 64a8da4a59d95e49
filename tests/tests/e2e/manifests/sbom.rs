//! The lists of crates in the images (`deploy/docker/sbom.sh`): what each program is linked from.

use crate::support::metric_names::text;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Lists the crates of a package, as the build stage of its image does.
fn sbom(package: &str) -> Result<String> {
    let root = tempfile::tempdir()?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new("deploy/docker/sbom.sh")
        .current_dir(repository)
        .args([root.path().as_os_str(), package.as_ref()])
        .status()?;
    ensure!(status.success(), "sbom.sh ended with {status}");
    let file = format!("usr/share/sbom/{package}.cdx.json");
    Ok(fs::read_to_string(root.path().join(file))?)
}

#[test]
fn images_list_the_crates_of_their_program() -> Result<()> {
    let lock = text("Cargo.lock")?;
    for (image, package, program, absent) in [
        ("inference", "digits-inference", "digits-picture", "tch"),
        ("trainer", "digits-trainer", "tch", "digits-picture"),
        ("digits", "digits-cli", "clap", "tch"),
    ] {
        let dockerfile = text(&format!("deploy/docker/{image}.Dockerfile"))?;
        let call = format!("deploy/docker/sbom.sh /image {package}\n");
        ensure!(
            dockerfile.contains(&call),
            "{image}.Dockerfile lists nothing"
        );
        let list = sbom(package)?;
        assert_eq!(list, sbom(package)?, "a list is reproducible");
        let list: Value = serde_json::from_str(&list)?;
        assert_eq!(list["bomFormat"], "CycloneDX");
        assert_eq!(list["metadata"]["component"]["name"], package);
        let crates = list["components"].as_array().context("components")?;
        let names: BTreeSet<&str> = crates.iter().filter_map(|it| it["name"].as_str()).collect();
        for name in ["tonic", "rustls", "digits-checkpoint", program] {
            ensure!(names.contains(name), "{package} is not said to need {name}");
        }
        // Tests, procedural macros and other programs.
        for name in [
            "digits-testing",
            "digits-workspace-hack",
            "proptest",
            "syn",
            absent,
        ] {
            ensure!(!names.contains(name), "{package} is said to need {name}");
        }
        for it in crates {
            let (name, version) = (&it["name"], &it["version"]);
            let locked = format!("name = {name}\nversion = {version}\n");
            ensure!(
                lock.contains(&locked),
                "{name} {version} is not in Cargo.lock"
            );
            let hash = &it["hashes"][0]["content"];
            let is_ours = name
                .as_str()
                .is_some_and(|name| name.starts_with("digits-"));
            ensure!(hash.is_string() != is_ours, "{it}");
        }
    }
    Ok(())
}
