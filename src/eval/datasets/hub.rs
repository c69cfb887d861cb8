//! Data sets of the Hugging Face hub, in the cache shared with other programs.

use super::files::of_split;
use crate::engine::weights::hub::Hub;
use crate::engine::{Error, Progress, Result};
use crate::error_text;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};

/// Revisions searched for a split: the set itself, then the hub's Parquet conversion of sets that are scripts.
const REVISIONS: [&str; 2] = ["main", "refs/convert/parquet"];

/// A data set of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubPlace {
    pub repository: &'static str,
    /// The folder of its configuration, if it has several.
    pub folder: Option<&'static str>,
}

/// The files of `split`, from the cache or else from the hub.
pub fn fetch(place: HubPlace, split: &str, progress: &mut Progress) -> Result<Vec<PathBuf>> {
    let hub = Hub::from_env()?;
    for revision in REVISIONS {
        let files = cached(&hub, place, revision, split);
        if !files.is_empty() {
            return Ok(files);
        }
    }
    if hub.offline {
        return Err(Error::Setting(format!(
            "{} is not in the cache {}, and HF_HUB_OFFLINE forbids to download it; {WAYS_OUT}",
            place.repository,
            hub.cache.display()
        )));
    }
    download(&hub, place, split, progress)
}

const WAYS_OUT: &str = "give --data-path FILE, or use the built-in prompts: --dataset builtin";

fn repo(place: HubPlace, revision: &str) -> Repo {
    Repo::with_revision(place.repository.into(), RepoType::Dataset, revision.into())
}

/// The files of `split` in the cache. The files of a split are downloaded together, but a download may have been
/// interrupted; their names contain their number.
fn cached(hub: &Hub, place: HubPlace, revision: &str, split: &str) -> Vec<PathBuf> {
    let root = hub.cache.join(repo(place, revision).folder_name());
    let Ok(commit) = std::fs::read_to_string(root.join("refs").join(revision)) else {
        return Vec::new();
    };
    let folder = root.join("snapshots").join(commit.trim());
    let mut names = Vec::new();
    list(&folder, "", &mut names);
    names.sort();
    let names = in_folder(names, place);
    let found = of_split(&names, split);
    match found
        .first()
        .is_some_and(|first| parts(first) <= found.len())
    {
        true => found.into_iter().map(|name| folder.join(name)).collect(),
        false => Vec::new(),
    }
}

/// The number of parts of a split, from the name of one: 3 for `test-00000-of-00003.parquet`.
fn parts(name: &str) -> usize {
    name.rsplit_once("-of-")
        .and_then(|(_, rest)| rest.split('.').next()?.parse().ok())
        .unwrap_or(1)
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path() {
            path if path.is_file() => names.push(name),
            path if path.is_dir() && prefix.matches('/').count() < 3 => {
                list(&path, &(name + "/"), names)
            }
            _ => {}
        }
    }
}

/// The paths of the requested configuration, without paths that lead out of the folder.
fn in_folder(names: Vec<String>, place: HubPlace) -> Vec<String> {
    let wanted = |name: &String| {
        let within = !name
            .split('/')
            .any(|part| part.is_empty() || part == ".." || part.contains('\\'));
        within
            && place
                .folder
                .is_none_or(|folder| name.split('/').any(|part| part == folder))
    };
    names.into_iter().filter(wanted).collect()
}

fn download(
    hub: &Hub,
    place: HubPlace,
    split: &str,
    progress: &mut Progress,
) -> Result<Vec<PathBuf>> {
    let trouble =
        |error: ApiError| Error::Setting(format!("{}; {WAYS_OUT}", explain(hub, place, error)));
    let api = ApiBuilder::from_cache(Cache::new(hub.cache.clone()))
        .with_endpoint(hub.endpoint.clone())
        .with_token(hub.token.clone())
        .with_progress(false)
        .with_retries(3)
        .build()
        .map_err(trouble)?;
    let mut seen = Vec::new();
    for (nth, revision) in REVISIONS.into_iter().enumerate() {
        progress(&format!("asking for {}", place.repository), None);
        let of_revision = api.repo(repo(place, revision));
        let info = match of_revision.info() {
            Ok(info) => info,
            // Not every set has a Parquet conversion.
            Err(error) if nth > 0 && is_missing(&error) => break,
            Err(error) => return Err(trouble(error)),
        };
        let mut names: Vec<String> = info
            .siblings
            .into_iter()
            .map(|file| file.rfilename)
            .collect();
        names.sort();
        let names = in_folder(names, place);
        let found = of_split(&names, split);
        if found.is_empty() {
            seen.extend(names);
            continue;
        }
        let mut paths = Vec::new();
        for name in found {
            progress(&format!("downloading {name}"), Some(0.0));
            paths.push(of_revision.get(name).map_err(trouble)?);
            progress(&format!("downloading {name}"), Some(1.0));
        }
        return Ok(paths);
    }
    seen.truncate(20);
    Err(Error::Setting(format!(
        "{} has no {split} split that can be read; it has {}; {WAYS_OUT}",
        place.repository,
        match seen.is_empty() {
            true => "no files".into(),
            false => seen.join(", "),
        }
    )))
}

fn is_missing(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(error) => matches!(**error, ureq::Error::StatusCode(404)),
        ApiError::TooManyRetries(inner) => is_missing(inner),
        _ => false,
    }
}

fn explain(hub: &Hub, place: HubPlace, error: ApiError) -> String {
    let (repository, endpoint) = (place.repository, &hub.endpoint);
    match error {
        ApiError::TooManyRetries(inner) => explain(hub, place, *inner),
        ApiError::RequestError(error) => match *error {
            ureq::Error::StatusCode(401 | 403) => {
                format!(
                    "{endpoint} denies access to the data set {repository}; log in with `hf auth login`, or set HF_TOKEN"
                )
            }
            ureq::Error::StatusCode(404) => {
                format!("there is no data set {repository} at {endpoint}")
            }
            ureq::Error::StatusCode(code) => {
                format!("{endpoint} responded with status {code} for the data set {repository}")
            }
            error => format!(
                "cannot reach {endpoint} for the data set {repository}: {}; check the network, or give a path with --data-path",
                error_text::http(&error)
            ),
        },
        ApiError::IoError(error) => format!(
            "downloading the data set {repository} was interrupted: {}; try again to resume it",
            error_text::io(&error)
        ),
        error => format!("downloading the data set {repository} failed: {error}"),
    }
}
