//! Whether a round syncs each file or the file system: few files are synced sooner one by one, many together. But what
//! a file system has to write may be much more than what somebody waits for, so both are measured.

use std::time::Duration;

/// How a round is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `fdatasync` of each file.
    EachFile,
    /// One `syncfs`.
    WholeFileSystem,
}

/// What syncs cost lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// Of one file.
    file: Duration,
    /// Of the file system.
    whole: Duration,
    /// A `syncfs` tells of lost writes; before Linux 5.8 it did not.
    whole_is_safe: bool,
}

/// Measured on an SSD; what is found out here replaces them.
const FILE: Duration = Duration::from_micros(230);
const WHOLE: Duration = Duration::from_micros(1700);

impl Default for Costs {
    fn default() -> Costs {
        let release = rustix::system::uname();
        Costs {
            file: FILE,
            whole: WHOLE,
            whole_is_safe: tells_of_lost_writes(&release.release().to_string_lossy()),
        }
    }
}

impl Costs {
    /// The cheaper way for so many files.
    pub(super) fn way(&self, files: usize) -> Way {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        if self.whole_is_safe && files > 1 && self.file.saturating_mul(files) > self.whole {
            Way::WholeFileSystem
        } else {
            Way::EachFile
        }
    }

    /// A round took so long.
    pub(super) fn note(&mut self, way: Way, files: usize, took: Duration) {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        match way {
            Way::EachFile if files == 0 => {}
            Way::EachFile => {
                self.file = nearer(self.file, took / files);
                // A file system that had much to write once is tried again after a while.
                self.whole = nearer(self.whole, WHOLE);
            }
            Way::WholeFileSystem => self.whole = nearer(self.whole, took),
        }
    }
}

/// An eighth of the way.
fn nearer(from: Duration, to: Duration) -> Duration {
    from.saturating_sub(from / 8).saturating_add(to / 8)
}

fn tells_of_lost_writes(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return false };
    (major, minor) >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_go_one_by_one_and_many_together() {
        let costs = Costs { whole_is_safe: true, ..Costs::default() };
        assert_eq!(costs.way(1), Way::EachFile);
        assert_eq!(costs.way(5), Way::EachFile);
        assert_eq!(costs.way(100), Way::WholeFileSystem);
        assert_eq!(Costs { whole_is_safe: false, ..costs }.way(100), Way::EachFile);
    }

    #[test]
    fn a_file_system_with_much_to_write_is_left_alone_for_a_while() {
        let mut costs = Costs { whole_is_safe: true, ..Costs::default() };
        costs.note(Way::WholeFileSystem, 100, Duration::from_secs(4));
        assert_eq!(costs.way(100), Way::EachFile);
        for _ in 0..50 {
            costs.note(Way::EachFile, 100, Duration::from_millis(23));
        }
        assert_eq!(costs.way(100), Way::WholeFileSystem);
    }

    #[test]
    fn old_kernels_are_known_by_their_release() {
        for (release, safe) in
            [("6.18.44-fc", true), ("5.8.0", true), ("5.4.0-150-generic", false), ("5", false), ("", false)]
        {
            assert_eq!(tells_of_lost_writes(release), safe, "{release}");
        }
    }
}
