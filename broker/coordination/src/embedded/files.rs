//! Objects as YAML files, one an object, in a folder for each kind: what the API server is to a cluster.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::yaml;

/// Largest object that is read, in bytes; etcd's limit, too.
const MAX_OBJECT_BYTES: u64 = 3 * 1024 * 1024 / 2;

/// Files that are made durable at a time.
const SYNCERS: usize = 8;

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file holds no such object.
    #[error(
        "{path} is not readable as an object: {reason}. It was written by Milena; put it back from a copy, or move it away"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// The folder of all objects.
#[derive(Debug)]
pub struct ObjectFiles {
    root: PathBuf,
}

impl ObjectFiles {
    /// Objects in `root`, which is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(root: PathBuf) -> Result<ObjectFiles, FileError> {
        fs::create_dir_all(&root).map_err(failed("make", &root))?;
        Ok(ObjectFiles { root })
    }

    /// All objects of a kind.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, FileError> {
        let folder = self.root.join(kind);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &folder)(error)),
        };
        let mut objects = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                objects.push(read(&path)?);
            }
        }
        Ok(objects)
    }

    /// Writes an object; what a crash leaves is the old one or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put<T: Serialize>(&self, kind: &str, name: &str, object: &T) -> Result<(), FileError> {
        self.put_all(kind, &[(name, object)])
    }

    /// Writes several objects; each is the old one or the new one after a crash. They are made durable side by side,
    /// for which a disk takes little longer than for one.
    ///
    /// # Errors
    /// A file cannot be written; some of the others may have been.
    pub fn put_all<T: Serialize>(&self, kind: &str, objects: &[(&str, &T)]) -> Result<(), FileError> {
        if objects.is_empty() {
            return Ok(());
        }
        let folder = self.root.join(kind);
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        let mut drafts = Vec::with_capacity(objects.len());
        for (name, object) in objects {
            drafts.push(Draft::write(&folder, name, object)?);
        }
        std::thread::scope(|scope| {
            let share = drafts.len().div_ceil(SYNCERS).max(1);
            let mut parts = drafts.chunks(share);
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> =
                parts.map(|part| scope.spawn(|| part.iter().try_for_each(Draft::sync))).collect();
            let mut synced = first.iter().try_for_each(Draft::sync);
            for other in others {
                let lost =
                    || Err(FileError::Content { path: folder.clone(), reason: "not synced".to_owned() });
                synced = synced.and(other.join().unwrap_or_else(|_| lost()));
            }
            synced
        })?;
        drafts.iter().try_for_each(Draft::put_in_place)?;
        sync_folder(&folder)
    }

    /// Removes an object; one that is gone is no error.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, kind: &str, name: &str) -> Result<(), FileError> {
        let folder = self.root.join(kind);
        let path = folder.join(format!("{name}.yaml"));
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }
}

/// An object that is written beside its place.
struct Draft {
    file: File,
    draft: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn write<T: Serialize>(folder: &Path, name: &str, object: &T) -> Result<Draft, FileError> {
        let (path, draft) = (folder.join(format!("{name}.yaml")), folder.join(format!("{name}.yaml.new")));
        let text = yaml::write(object).map_err(|reason| FileError::Content { path: path.clone(), reason })?;
        let mut file = File::create(&draft).map_err(failed("write", &draft))?;
        file.write_all(text.as_bytes()).map_err(failed("write", &draft))?;
        Ok(Draft { file, draft, path })
    }

    fn sync(&self) -> Result<(), FileError> {
        self.file.sync_data().map_err(failed("write", &self.draft))
    }

    fn put_in_place(&self) -> Result<(), FileError> {
        fs::rename(&self.draft, &self.path).map_err(failed("write", &self.path))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let content = |reason: String| FileError::Content { path: path.to_owned(), reason };
    let size = fs::metadata(path).map_err(failed("read", path))?.len();
    if size > MAX_OBJECT_BYTES {
        return Err(content(format!("{size} bytes are more than {MAX_OBJECT_BYTES}")));
    }
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    yaml::read(&text).map_err(content)
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Object = BTreeMap<String, String>;

    fn object(value: &str) -> Object {
        Object::from([("key".to_owned(), value.to_owned())])
    }

    #[test]
    fn objects_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = ObjectFiles::open(dir.path().join("cluster")).unwrap();
        files.put("things", "a", &object("1")).unwrap();
        files.put("things", "a", &object("2")).unwrap();
        files.put("things", "b", &object("3")).unwrap();
        files.remove("things", "b").unwrap();
        files.remove("things", "b").unwrap();
        let again = ObjectFiles::open(dir.path().join("cluster")).unwrap();
        assert_eq!(again.load::<Object>("things").unwrap(), [object("2")]);
        assert!(again.load::<Object>("others").unwrap().is_empty());
    }

    #[test]
    fn a_draft_that_a_crash_left_is_not_an_object() {
        let dir = tempfile::tempdir().unwrap();
        let files = ObjectFiles::open(dir.path().to_owned()).unwrap();
        files.put("things", "a", &object("1")).unwrap();
        fs::write(dir.path().join("things/b.yaml.new"), "half").unwrap();
        assert_eq!(files.load::<Object>("things").unwrap().len(), 1);
        fs::write(dir.path().join("things/c.yaml"), "half").unwrap();
        assert!(files.load::<Object>("things").unwrap_err().to_string().contains("c.yaml"));
    }
}
