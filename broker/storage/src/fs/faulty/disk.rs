//! The disk: what it is to refuse, and what is durable on it.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::io::Errno;

use super::content::{Content, Entries, EntryChange, Id, PowerCut};

/// A call of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Opening what is there, or listing it.
    Open,
    /// Making a file or directory.
    Create,
    Read,
    /// Writing over what is there.
    Write,
    /// Writing beyond the end.
    Extend,
    SetLen,
    Allocate,
    Sync,
    Rename,
    Remove,
}

impl Op {
    pub(crate) const ALL: [Op; 10] = [
        Op::Open,
        Op::Create,
        Op::Read,
        Op::Write,
        Op::Extend,
        Op::SetLen,
        Op::Allocate,
        Op::Sync,
        Op::Rename,
        Op::Remove,
    ];
}

/// One call that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) op: Op,
    /// So many calls of the kind succeed before.
    pub(crate) after: u32,
    pub(crate) errno: Errno,
}

/// What the disk is to refuse.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// After so many calls the process is gone: none has an effect any more.
    pub(crate) dies_after: Option<u64>,
    pub(crate) failure: Option<Failure>,
    /// There is no room.
    pub(crate) full: bool,
    /// Reads and writes are interrupted and cut short now and then.
    pub(crate) hiccups: bool,
}

impl Plan {
    /// Whether anything is refused for good.
    pub(crate) fn is_harmful(&self) -> bool {
        self.dies_after.is_some() || self.failure.is_some() || self.full
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// A part of the bytes is read or written.
    Short,
    Fail(Errno),
}

const ROOT: Id = 0;

/// A disk that is mounted on a directory.
pub(crate) struct Disk {
    root: PathBuf,
    rng: StdRng,
    plan: Plan,
    dead: bool,
    /// Failures that came about.
    failed: Vec<(Op, Errno)>,
    files: HashMap<Id, Content>,
    dirs: HashMap<Id, Entries>,
    /// By inode. A number that is used again is another file.
    ids: HashMap<u64, Id>,
    next_id: Id,
    boots: u32,
}

impl Disk {
    pub(super) fn new(root: &Path, seed: u64) -> Disk {
        let mut disk = Disk {
            root: root.to_path_buf(),
            rng: StdRng::seed_from_u64(seed),
            plan: Plan::default(),
            dead: false,
            failed: Vec::new(),
            files: HashMap::new(),
            dirs: HashMap::new(),
            ids: HashMap::new(),
            next_id: ROOT,
            boots: 0,
        };
        disk.take_as_durable(root);
        disk
    }

    /// Refuses this from now on.
    pub(crate) fn plan(&mut self, plan: Plan) {
        self.plan = plan;
        self.failed.clear();
    }

    /// Whether the process died.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// The failures that came about under this plan.
    pub(crate) fn failed(&self) -> &[(Op, Errno)] {
        &self.failed
    }

    pub(super) fn boot_id(&self) -> String {
        format!("boot {}", self.boots)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }

    pub(super) fn judge(&mut self, op: Op) -> Verdict {
        if let Some(left) = &mut self.plan.dies_after {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => self.dead = true,
            }
        }
        if self.dead {
            return Verdict::Fail(Errno::IO);
        }
        if let Some(failure) = self.plan.failure.as_mut().filter(|failure| failure.op == op) {
            let errno = failure.errno;
            match failure.after.checked_sub(1) {
                Some(less) => failure.after = less,
                None => {
                    self.plan.failure = None;
                    self.failed.push((op, errno));
                    return Verdict::Fail(errno);
                }
            }
        }
        if self.plan.full && matches!(op, Op::Create | Op::Extend | Op::Allocate) {
            self.failed.push((op, Errno::NOSPC));
            return Verdict::Fail(Errno::NOSPC);
        }
        if self.plan.hiccups && matches!(op, Op::Read | Op::Write | Op::Extend) {
            return match self.rng.random_range(0..6) {
                0 => Verdict::Fail(Errno::INTR),
                1 => Verdict::Short,
                _ => Verdict::Pass,
            };
        }
        Verdict::Pass
    }

    /// The process is gone; all that it wrote is there.
    pub(crate) fn process_death(&mut self) {
        self.dead = false;
        self.plan = Plan::default();
    }

    /// The machine is gone, and comes back: of what was not synced, anything may be there.
    pub(crate) fn power_cut(&mut self) {
        self.process_death();
        self.boots += 1;
        let cut = PowerCut::random(&mut self.rng);
        let root = self.root.clone();
        empty(&root);
        self.restore(ROOT, &root, cut);
        self.files.clear();
        self.dirs.clear();
        self.ids.clear();
        self.next_id = ROOT;
        self.take_as_durable(&root);
    }

    fn restore(&mut self, dir: Id, path: &Path, cut: PowerCut) {
        let entries = self.dirs[&dir].after(cut, &mut self.rng);
        for (name, id) in entries {
            let path = path.join(name);
            if let Some(content) = self.files.get(&id) {
                fs::write(path, content.after(cut, &mut self.rng)).unwrap();
            } else {
                fs::create_dir(&path).unwrap();
                self.restore(id, &path, cut);
            }
        }
    }

    /// What lies at `path` is all there is, and durable.
    fn take_as_durable(&mut self, path: &Path) -> Id {
        let id = self.known_as(&fs::metadata(path).unwrap());
        if path.is_file() {
            self.files.insert(id, Content::durable(fs::read(path).unwrap()));
            return id;
        }
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            entries.insert(entry.file_name(), self.take_as_durable(&entry.path()));
        }
        self.dirs.insert(id, Entries::durable(entries));
        id
    }

    fn known_as(&mut self, meta: &fs::Metadata) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.ids.insert(meta.ino(), id);
        id
    }

    fn id(&self, meta: io::Result<fs::Metadata>) -> Id {
        self.ids[&meta.unwrap().ino()]
    }

    fn content(&mut self, file: &File) -> &mut Content {
        let id = self.id(file.metadata());
        self.files.get_mut(&id).unwrap()
    }

    /// The directory that a path is in, and its name there.
    fn place(&mut self, path: &Path) -> (&mut Entries, OsString) {
        let id = self.id(fs::metadata(path.parent().unwrap()));
        (self.dirs.get_mut(&id).unwrap(), path.file_name().unwrap().to_owned())
    }

    pub(super) fn created(&mut self, path: &Path, file: &File) {
        let id = self.known_as(&file.metadata().unwrap());
        self.files.insert(id, Content::default());
        let (entries, name) = self.place(path);
        entries.change(EntryChange::Add(name, id));
    }

    pub(super) fn created_dir(&mut self, path: &Path) {
        let id = self.known_as(&fs::metadata(path).unwrap());
        self.dirs.insert(id, Entries::default());
        let (entries, name) = self.place(path);
        entries.change(EntryChange::Add(name, id));
    }

    pub(super) fn written(&mut self, file: &File, position: u64, bytes: &[u8]) {
        self.content(file).write(usize::try_from(position).unwrap(), bytes);
    }

    pub(super) fn resized(&mut self, file: &File, len: u64) {
        self.content(file).set_len(usize::try_from(len).unwrap());
    }

    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        assert_eq!(from.parent(), to.parent(), "this disk has no renames between directories");
        let id = self.id(fs::metadata(to));
        let (entries, name) = self.place(to);
        let from = from.file_name().unwrap().to_owned();
        entries.change(EntryChange::Move { from, to: name, id });
    }

    pub(super) fn removed(&mut self, path: &Path) {
        let (entries, name) = self.place(path);
        entries.change(EntryChange::Remove(name));
    }

    pub(super) fn sync(&mut self, file: &File) -> io::Result<()> {
        match self.judge(Op::Sync) {
            Verdict::Fail(errno) => {
                let id = self.id(file.metadata());
                if !self.dead {
                    self.files.get_mut(&id).unwrap().fail_sync(&mut self.rng);
                }
                Err(errno.into())
            }
            _ => {
                let content = self.content(file);
                content.sync();
                content.assert_is(file);
                Ok(())
            }
        }
    }

    pub(super) fn drop_cache(&mut self, file: &File) {
        let on_disk = self.content(file).without_lost();
        file.set_len(0).unwrap();
        file.write_all_at(&on_disk, 0).unwrap();
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        if let Verdict::Fail(errno) = self.judge(Op::Sync) {
            return Err(errno.into());
        }
        let id = self.id(fs::metadata(path));
        self.dirs.get_mut(&id).unwrap().sync();
        Ok(())
    }

    pub(super) fn sync_everything(&mut self) -> io::Result<()> {
        if let Verdict::Fail(errno) = self.judge(Op::Sync) {
            if self.dead {
                return Err(errno.into());
            }
            self.files.values_mut().for_each(|content| content.fail_sync(&mut self.rng));
            return Err(errno.into());
        }
        self.files.values_mut().for_each(Content::sync);
        self.dirs.values_mut().for_each(Entries::sync);
        Ok(())
    }
}

fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}
