//! What the chart carries along is what the repository says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where something is missing")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn yaml_files(folder: &Path) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_chart_has_the_definitions() {
    let definitions = yaml_files(&root().join("crds"));
    assert!(!definitions.is_empty());
    let chart = yaml_files(&root().join("charts/milena/files/crds"));
    assert_eq!(definitions.keys().collect::<Vec<_>>(), chart.keys().collect::<Vec<_>>());
    for (name, text) in definitions {
        assert!(chart.get(&name) == Some(&text), "{name} differs: run `cargo run -p milena-crds --bin gen`");
        // The chart's template adds an annotation below this line.
        assert_eq!(text.lines().filter(|line| *line == "metadata:").count(), 1, "{name}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let chart = fs::read_to_string(root().join("charts/milena/Chart.yaml")).unwrap();
    let chart: serde_yaml::Value = serde_yaml::from_str(&chart).unwrap();
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field].as_str(), Some(env!("CARGO_PKG_VERSION")), "{field}");
    }
}
