//! `p2p datasets`: the catalogue of public sets, from datasets/catalog.toml.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{args::DatasetsArgs, printer::result};

const CATALOG: &str = include_str!("../../../datasets/catalog.toml");

/// One public data set; the catalogue's head says what each field means.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dataset {
    name: String,
    task: String,
    pairs: String,
    size: String,
    layout: String,
    direction: String,
    license: String,
    home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    notes: String,
}

#[derive(Deserialize)]
struct Catalog {
    dataset: Vec<Dataset>,
}

fn catalog() -> Result<Vec<Dataset>> {
    Ok(toml::from_str::<Catalog>(CATALOG).context("the catalogue of data sets is damaged")?.dataset)
}

pub fn run(args: &DatasetsArgs) -> Result<ExitCode> {
    let wanted = args.filter.as_deref().unwrap_or_default().to_lowercase();
    let holds = |set: &Dataset| set.name.contains(&wanted) || set.task.to_lowercase().contains(&wanted);
    let found = catalog()?.into_iter().filter(holds).collect::<Vec<_>>();
    if args.json {
        result(&serde_json::to_string_pretty(&found)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        anyhow::bail!("no data set has {:?} in its name or task", args.filter.as_deref().unwrap_or_default());
    }
    // One set alone is shown whole.
    if let [only] = found.as_slice() {
        let Dataset { name, task, pairs, size, layout, direction, license, home, notes, .. } = only;
        return result(&format!(
            "{name}: {task}\n  pairs      {pairs}\n  size       {size}\n  layout     {layout}, {direction}\n  \
             licence    {license}\n  address    {home}\n  how to     {notes}{}",
            only.archive.as_ref().map(|_| format!("\n  fetch      datasets/download.sh {name}")).unwrap_or_default()
        ))
        .map(|()| ExitCode::SUCCESS)
        .map_err(Into::into);
    }
    for Dataset { name, task, pairs, layout, .. } in &found {
        result(&format!("{name:<24} {task:<40} {pairs} ({layout})"))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use pix2pix_core::pairs::Layout;

    use super::*;

    #[test]
    fn the_catalogue_is_sound_and_the_readme_lists_all_of_it() {
        let sets = catalog().expect("a sound catalogue");
        let readme = include_str!("../../../datasets/README.md");
        let mut names = sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>();
        for set in &sets {
            assert!(readme.contains(&format!("| {} | {} |", set.name, set.task)), "{} is in the README", set.name);
            assert!(Layout::ALL.iter().any(|layout| layout.name() == set.layout), "{} has a known layout", set.name);
            assert!(matches!(set.direction.as_str(), "AtoB" | "BtoA"), "{} has a direction", set.name);
            for address in std::iter::once(&set.home).chain(&set.archive) {
                assert!(address.starts_with("https://") || address.starts_with("http://"), "{address}");
            }
            let hex = |sum: &String| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(set.sha256.as_ref().is_none_or(hex), "{} has a sound checksum or none", set.name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), sets.len(), "names are unique");
    }
}
