//! Writes `crds/*.yaml`, the chart's copies of them and `docs/settings.md` from the types and tables; with `--check` says what differs.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use milena_crds::{rules, settings};

/// Files with their texts. The chart carries copies of the definitions: Helm reads nothing outside of it.
fn generated() -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![(crds.join("../docs/settings.md"), settings::settings_page())];
    for definition in rules::definitions() {
        let name = format!("{}.yaml", definition.spec.names.plural);
        // Through a value, whose keys are sorted.
        let yaml = serde_yaml::to_string(&serde_json::to_value(&definition)?)?;
        let head = "# Generated from crds/src by `cargo run -p milena-crds --bin gen`; do not edit.\n";
        let text = format!("{head}{yaml}");
        files.push((crds.join("../charts/milena/files/crds").join(&name), text.clone()));
        files.push((crds.join(name), text));
    }
    Ok(files)
}

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("gen: unknown argument {other}; allowed: --check");
            return ExitCode::from(2);
        }
    };
    let files = match generated() {
        Ok(files) => files,
        Err(error) => {
            eprintln!("gen: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut good = true;
    for (path, text) in files {
        if check {
            if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
                continue;
            }
            eprintln!(
                "{} differs from what the code says: run `cargo run -p milena-crds --bin gen`",
                path.display()
            );
            good = false;
        } else if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
