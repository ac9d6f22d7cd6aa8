//! What of a file's content, and of a directory's entries, a power cut leaves.

use std::{collections::BTreeMap, ffi::OsString, fs::File, os::unix::fs::FileExt};

use rand::{Rng, rngs::StdRng};

/// How a power cut deals with what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerCut {
    /// How likely each page and each change of a length survives.
    survival: f64,
    /// Bytes that survive, or not, together.
    page: usize,
}

/// A real disk loses no less than a sector of 512 bytes. Files are small here, so that they are torn more finely, but
/// not so finely that of a batch's header the leader epoch alone goes, which no checksum covers: eight bytes over any
/// part of it take of the length before it or of the magic behind it.
const PAGES: [usize; 4] = [8, 64, 512, 4096];

impl PowerCut {
    pub(super) fn random(rng: &mut StdRng) -> PowerCut {
        PowerCut {
            survival: [0.0, 0.3, 0.5, 0.9, 1.0][rng.random_range(0..5)],
            page: PAGES[rng.random_range(0..PAGES.len())],
        }
    }
}

/// A change of a file that is not known to be durable.
#[derive(Clone, Debug)]
enum Change {
    Write {
        at: usize,
        bytes: Vec<u8>,
        /// A sync has failed on it: the kernel takes it for clean, and it never gets to the disk.
        lost: bool,
    },
    SetLen(usize),
}

/// A file on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// A sync has failed.
    lost: bool,
}

impl Content {
    pub(super) fn durable(bytes: Vec<u8>) -> Content {
        Content { durable: bytes, ..Content::default() }
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.pending.push(Change::Write { at, bytes: bytes.to_vec(), lost: false });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.pending.push(Change::SetLen(len));
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        self.durable = self.survivors(|_| true, usize::MAX);
        self.pending.clear();
    }

    /// This disk has missed nothing: what is durable now is what the file has.
    pub(super) fn assert_is(&self, file: &File) {
        let mut held = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut held, 0).unwrap();
        assert!(self.durable == held || self.lost, "the disk is not what was written to it");
    }

    /// A sync that fails: some pages are clean now and not on the disk.
    pub(super) fn fail_sync(&mut self, rng: &mut StdRng) {
        self.lost = true;
        for change in &mut self.pending {
            if let Change::Write { lost, .. } = change {
                *lost |= rng.random::<bool>();
            }
        }
    }

    /// What is read once memory has forgotten what never got to the disk.
    pub(super) fn without_lost(&self) -> Vec<u8> {
        self.survivors(|_| true, usize::MAX)
    }

    /// The content after a power cut.
    pub(super) fn after(&self, cut: PowerCut, rng: &mut StdRng) -> Vec<u8> {
        self.survivors(|_| rng.random_bool(cut.survival), cut.page)
    }

    fn survivors(&self, mut survives: impl FnMut(&Change) -> bool, page: usize) -> Vec<u8> {
        let mut data = self.durable.clone();
        let mut len = data.len();
        for change in &self.pending {
            match change {
                Change::SetLen(new) if survives(change) => {
                    len = *new;
                    data.resize(len, 0);
                }
                Change::SetLen(_) => {}
                Change::Write { at, bytes, lost } => {
                    let end = at + bytes.len();
                    // A length may be durable before the bytes are: there are zeros then.
                    if end > len && survives(change) {
                        len = end;
                    }
                    let mut from = *at;
                    while from < end {
                        let to = (from / page + 1).saturating_mul(page).min(end);
                        if !lost && survives(change) {
                            data.resize(data.len().max(to), 0);
                            data[from..to].copy_from_slice(&bytes[from - at..to - at]);
                        }
                        from = to;
                    }
                }
            }
        }
        data.resize(len, 0);
        data
    }
}

/// A file or directory, whatever its name.
pub(super) type Id = u64;

/// A change of a directory that is not known to be durable.
#[derive(Clone, Debug)]
pub(super) enum EntryChange {
    Add(OsString, Id),
    Remove(OsString),
    Move { from: OsString, to: OsString, id: Id },
}

/// A directory on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    durable: BTreeMap<OsString, Id>,
    pending: Vec<EntryChange>,
}

impl Entries {
    pub(super) fn durable(entries: BTreeMap<OsString, Id>) -> Entries {
        Entries { durable: entries, pending: Vec::new() }
    }

    pub(super) fn change(&mut self, change: EntryChange) {
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        let all = std::mem::take(&mut self.pending);
        self.durable = self.with(all.iter());
    }

    /// The entries after a power cut: the changes up to some moment, as the journals of ext4, XFS and btrfs have them.
    pub(super) fn after(&self, cut: PowerCut, rng: &mut StdRng) -> BTreeMap<OsString, Id> {
        let up_to = match cut.survival {
            0.0 => 0,
            1.0 => self.pending.len(),
            _ => rng.random_range(0..=self.pending.len()),
        };
        self.with(self.pending.iter().take(up_to))
    }

    fn with<'a>(&self, changes: impl Iterator<Item = &'a EntryChange>) -> BTreeMap<OsString, Id> {
        let mut entries = self.durable.clone();
        for change in changes {
            match change {
                EntryChange::Add(name, id) => {
                    entries.insert(name.clone(), *id);
                }
                EntryChange::Remove(name) => {
                    entries.remove(name);
                }
                EntryChange::Move { from, to, id } => {
                    if entries.get(from) == Some(id) {
                        entries.remove(from);
                    }
                    entries.insert(to.clone(), *id);
                }
            }
        }
        entries
    }
}
