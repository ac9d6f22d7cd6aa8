//! The copies of what was seen last: in two log directories, where there are so many, so that no one disk takes it.
//!
//! Each write has a number, by which the newest copy is known when they differ. What is written is kept once one copy has
//! it; a copy that missed a write is written anew with the next one.

use std::{path::PathBuf, sync::Arc};

use milena_crds::partition::Generation;
use milena_storage::{LogDir, LogDirs};
use tracing::{info, warn};

use super::{
    super::outage::Outage,
    file::{Content, File, FileError, Record},
};

/// Name of the file in a log directory.
const NAME: &str = "last-known-state";
/// Directories that are written to at a time.
const COPIES: usize = 2;

/// Where a copy may lie.
#[derive(Debug)]
pub struct Home {
    file: PathBuf,
    /// The log directory that the file is in; none: a file by itself.
    dir: Option<Arc<LogDir>>,
}

impl Home {
    /// A file by itself.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn file(file: PathBuf) -> Home {
        Home { file, dir: None }
    }

    /// One in each log directory.
    pub fn in_all(dirs: &LogDirs) -> Vec<Home> {
        let home = |dir: &Arc<LogDir>| Home { file: dir.path().join(NAME), dir: Some(dir.clone()) };
        dirs.in_service().map(home).collect()
    }

    fn is_in_service(&self) -> bool {
        self.dir.as_ref().is_none_or(|dir| dir.failure().is_none())
    }

    /// Takes the directory out of service, where the error is one of its disk.
    fn failed(&self, error: FileError) {
        if let (Some(dir), FileError::Io { action, path, source }) = (&self.dir, error) {
            dir.file_failed(action, &path, source);
        }
    }
}

struct Copy {
    home: Home,
    file: File,
    /// It has not all that was written: it failed, was not needed, or is of a former life.
    stale: bool,
    outage: Outage,
}

/// All copies.
pub struct Copies {
    /// By preference.
    copies: Vec<Copy>,
    /// Of the last write.
    number: u64,
}

impl Copies {
    /// Reads all copies, and answers with what each holds, the newest first. One that cannot be read costs its directory,
    /// as long as there is another.
    ///
    /// # Errors
    /// None can be read, or one is of an unknown format.
    pub fn open(homes: Vec<Home>, generation: Generation) -> Result<(Copies, Vec<Content>), FileError> {
        let (mut copies, mut contents, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for home in homes {
            match File::open(home.file.clone(), generation) {
                Ok((file, content)) => {
                    copies.push(Copy { home, file, stale: true, outage: Outage::default() });
                    contents.push(content);
                }
                Err(error @ FileError::Version { .. }) => return Err(error),
                Err(error) => refused.push((home, error)),
            }
        }
        if copies.is_empty()
            && let Some((_, error)) = refused.pop()
        {
            return Err(error);
        }
        refused.into_iter().for_each(|(home, error)| home.failed(error));
        // Of equals the first stays the first.
        contents.sort_by_key(|content| std::cmp::Reverse((content.number, content.generation.is_some())));
        let number = contents.first().map_or(0, |newest| newest.number);
        Ok((Copies { copies, number }, contents))
    }

    /// Writes what is new, or `all` where a copy has not what was before, or has grown too long. A copy that fails costs
    /// its directory, as long as there is another.
    ///
    /// # Errors
    /// No copy has it.
    pub fn write<I: Iterator<Item = Record>>(
        &mut self,
        records: &[Record],
        durable: bool,
        all: impl Fn() -> I,
    ) -> Result<(), FileError> {
        self.number = self.number.saturating_add(1);
        let number = Record::Written { number: self.number };
        let (mut kept, mut failures) = (0, Vec::new());
        for copy in &mut self.copies {
            if kept == COPIES || !copy.home.is_in_service() {
                copy.stale = true;
                continue;
            }
            let written = if copy.stale || copy.file.is_mostly_old() {
                copy.file.replace(all().chain([number.clone()]))
            } else {
                copy.file.append(&[records, std::slice::from_ref(&number)].concat(), durable)
            };
            copy.stale = written.is_err();
            match written {
                Ok(()) => {
                    kept += 1;
                    if let Some(outage) = copy.outage.ends() {
                        info!(file = %copy.home.file.display(), ?outage, "a copy of the last known state is kept again");
                    }
                }
                Err(error) => failures.push((copy, error)),
            }
        }
        if kept == 0 {
            let gone = || FileError::NoDirectory;
            return Err(failures.pop().map_or_else(gone, |(_, error)| error));
        }
        for (copy, error) in failures {
            if copy.outage.begins() {
                warn!(%error, "a copy of the last known state is not kept; another one is");
            }
            copy.home.failed(error);
        }
        Ok(())
    }

    /// The disk of a copy is full from here on.
    #[cfg(test)]
    pub(super) fn let_writes_fail(&mut self, copy: usize) {
        self.copies[copy].file.let_writes_fail("/dev/full");
    }

    /// Writes to a copy are refused from here on.
    #[cfg(test)]
    pub(super) fn let_writes_be_refused(&mut self, copy: usize) {
        self.copies[copy].file.let_writes_fail("/proc/self/mem");
    }
}
