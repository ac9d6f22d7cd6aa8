//! Many files in one input: for each a letter of its kind, its length in two bytes, its content. What is behind the last
//! whole one belongs to it.

use std::{fs, path::Path};

/// The parts of an input, with their kinds.
pub fn split(mut input: &[u8]) -> Vec<(u8, &[u8])> {
    let mut files = Vec::new();
    while let Some(([kind, high, low], rest)) = input.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (content, rest) = rest.split_at(length);
        files.push((*kind, content));
        input = rest;
    }
    files
}

/// The input that [`split`] makes these parts of.
pub fn join<'a>(files: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut input = Vec::new();
    for (kind, content) in files {
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
        input.push(kind);
        input.extend(length.to_be_bytes());
        input.extend(content.iter().take(length.into()));
    }
    input
}

/// The files of a folder that have one of these names, each with its kind.
pub fn gather(folder: &Path, names: &[(u8, &str)]) -> Vec<u8> {
    let read = |(kind, name): &(u8, &str)| Some((*kind, fs::read(folder.join(name)).ok()?));
    let found: Vec<(u8, Vec<u8>)> = names.iter().filter_map(read).collect();
    join(found.iter().map(|(kind, content)| (*kind, content.as_slice())))
}

/// A folder in memory, where there is one.
///
/// # Panics
/// No folder can be made.
#[allow(clippy::expect_used)]
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder for temporary files")
}

/// Writes a file of a scratch folder.
///
/// # Panics
/// There is no room.
#[allow(clippy::expect_used)]
pub fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("room for temporary files");
}
