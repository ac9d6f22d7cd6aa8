//! A broker's data directory with one log, its operations, and its crashes.

use std::{path::PathBuf, sync::Arc};

use milena_records::Batch;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{
    batches::{Producer, Sent, build, marker},
    check::check,
    expect::{Expect, Opened},
    faults::{Crash, crash, plan},
};
use crate::{
    CleanerLimits, Generation, Log, LogConfig, LogDir, OpenMode, Origin, Owner, RecoveryReport, StorageError,
    TopicPartition,
    fs::faulty::{Mounted, Op, Plan, mount},
};

const NOW: i64 = 1_700_000_000_000;
const OWNER: Owner<'_> = Owner { cluster_id: Some("cluster"), node_id: 1 };

/// What became of an operation.
enum Outcome<T> {
    Done(T),
    Refused(StorageError),
    /// The process died on the way: nobody was answered.
    Died,
}

/// The broker while it runs.
struct Life {
    log: Log,
    dir: LogDir,
}

pub(super) struct World {
    rng: StdRng,
    mounted: Mounted,
    root: PathBuf,
    _scratch: tempfile::TempDir,
    tp: TopicPartition,
    config: Arc<LogConfig>,
    life: Option<Life>,
    /// How the last life ended, until another one has begun.
    ended: Crash,
    generation: Option<Generation>,
    expect: Expect,
    clock: i64,
    epoch: i32,
    serial: u32,
    /// Nothing more can be said of the log.
    over: bool,
    /// Below it nothing is truncated, and records may be compacted and deleted.
    high_watermark: i64,
    /// What was done, for a failure.
    history: Vec<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.history.len().saturating_sub(40);
            eprintln!("{:?}", self.config);
            self.history[from..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let root = scratch.path().join("data");
        std::fs::create_dir(&root).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let cleanup_compact = rng.random_bool(0.4);
        let config = LogConfig {
            segment_bytes: *[500, 1000, 4000].choose(&mut rng).unwrap(),
            index_interval_bytes: *[0, 100, 400].choose(&mut rng).unwrap(),
            segment_ms: *[200, 100_000].choose(&mut rng).unwrap(),
            retention_bytes: *[-1, 3000].choose(&mut rng).unwrap(),
            retention_ms: -1,
            cleanup_delete: !cleanup_compact || rng.random(),
            cleanup_compact,
            delete_retention_ms: *[0, 100].choose(&mut rng).unwrap(),
            producer_id_expiration_ms: i64::MAX,
            ..LogConfig::default()
        };
        let mut world = World {
            mounted: mount(&root, rng.random()),
            rng,
            root,
            _scratch: scratch,
            tp: TopicPartition::new("sample", 0),
            config: Arc::new(config),
            life: None,
            ended: Crash::Process,
            generation: None,
            expect: Expect::default(),
            clock: NOW,
            epoch: 0,
            serial: 0,
            over: false,
            high_watermark: 0,
            history: Vec::new(),
        };
        world.start();
        world
    }

    /// One operation, with what goes wrong on the way, and a look at the log.
    pub(super) fn step(&mut self) {
        if self.over {
            return;
        }
        let operation = self.rng.random_range(0..100);
        if self.rng.random_bool(0.5) {
            let ends: Vec<i64> = self.expect.batches.iter().map(Sent::end).collect();
            let passed = ends.choose(&mut self.rng).copied().unwrap_or(0);
            self.high_watermark = self.high_watermark.max(passed);
        }
        let log = &self.life.as_ref().unwrap().log;
        let segments: Vec<i64> = log.shared.segments().iter().map(|segment| segment.base_offset).collect();
        let point = log.recovery_point();
        self.history.push(format!(
            "{operation} at {}, recovery point {point}, segments {segments:?}",
            self.expect.end()
        ));
        match operation {
            0..40 => self.append(),
            40..46 => self.follow(),
            46..48 => self.new_epoch(),
            48..52 => self.roll(),
            52..60 => self.flush(),
            60..64 => self.truncate(),
            64 => self.truncate_fully(),
            65..68 => self.delete_records(),
            68..72 => self.retention(),
            72..80 => self.compact(),
            80..86 => self.checkpoint(),
            86..92 => self.close(),
            92..94 => self.life.as_ref().unwrap().log.close_idle_files(),
            _ => {
                let crash = crash(&mut self.rng);
                self.die(crash);
            }
        }
        self.check();
    }

    /// The last word: the machine goes down, and what must be there is.
    pub(super) fn end(mut self) {
        if !self.over {
            self.die(Crash::Machine);
            self.check();
        }
    }

    fn check(&mut self) {
        if self.over {
            return;
        }
        self.expect.seen_start = self.expect.seen_start.max(self.expect.start);
        check(&self.life.as_ref().unwrap().log, &self.expect, &self.config);
    }

    /// Does something to the log under a plan. Who meets a refusal goes on where the log does, and starts anew
    /// where it does not.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Life) -> Result<T, StorageError>) -> Outcome<T> {
        let plan = plan(&mut self.rng);
        self.attempt_under(plan, work)
    }

    fn attempt_under<T>(
        &mut self,
        plan: Plan,
        work: impl FnOnce(&mut Life) -> Result<T, StorageError>,
    ) -> Outcome<T> {
        self.mounted.disk(|disk| disk.plan(plan));
        let result = work(self.life.as_mut().unwrap());
        let refusal = result.as_ref().err().map_or(String::new(), |error| format!(": {error}"));
        let (dead, failed) = self.mounted.disk(|disk| {
            let outcome = (disk.is_dead(), disk.failed().to_vec());
            disk.plan(Plan::default());
            outcome
        });
        if plan.is_harmful() {
            self.history.push(format!("    {plan:?}, dead {dead}, failed {failed:?}{refusal}"));
        }
        if failed.iter().any(|(op, _)| *op == Op::Sync) {
            // What memory has is not believed any more.
            self.ended = Crash::Machine;
        }
        match result {
            _ if dead => Outcome::Died,
            Ok(done) => Outcome::Done(done),
            Err(error) => {
                assert!(!failed.is_empty(), "refused without a reason: {error}");
                Outcome::Refused(error)
            }
        }
    }

    /// After a refusal: a log that takes no more writes takes none, and shows what it has. Then the broker stops.
    fn refused(&mut self, error: &StorageError) {
        let log = &mut self.life.as_mut().unwrap().log;
        if log.shared.check_writable().is_ok() {
            return;
        }
        let probe = build(None, self.clock, &[(b"probe".to_vec(), None)]);
        let answers = [
            log.append(&Batch::parse(&probe).unwrap(), Origin::Client, self.epoch, NOW).map(drop),
            log.append_as_follower(&probe, NOW).map(drop),
            log.flush().map(drop),
            log.close_clean().map(drop),
            log.truncate_to(0, NOW).map(drop),
        ];
        for answer in answers {
            assert!(
                matches!(answer, Err(StorageError::Poisoned { .. } | StorageError::DirOffline { .. })),
                "{answer:?} after {error}"
            );
        }
        assert!(log.flush_task().is_none());
        let crash = crash(&mut self.rng);
        self.die(crash);
    }

    fn died(&mut self) {
        let crash = crash(&mut self.rng);
        self.die(crash);
    }

    fn die(&mut self, crash: Crash) {
        self.history.push(format!("  {crash:?} dies at {:?}", self.expect.end()));
        self.life = None;
        self.mounted.disk(|disk| match crash {
            Crash::Process => disk.process_death(),
            Crash::Machine => disk.power_cut(),
        });
        if crash == Crash::Machine {
            self.ended = crash;
        }
        // What a truncation was about to take may come and go until it is done.
        self.over = self.expect.is_being_cut();
        self.start();
    }

    /// Starts the broker; the first attempts may meet faults, too.
    fn start(&mut self) {
        for attempt in 0.. {
            let plan = if attempt < 2 { plan(&mut self.rng) } else { Plan::default() };
            self.mounted.disk(|disk| disk.plan(plan));
            let opened = open(&self.root, &self.tp, &self.config);
            let (dead, failed, unsynced) = self.mounted.disk(|disk| {
                let unsynced = disk.failed().iter().any(|(op, _)| *op == Op::Sync);
                let outcome = (disk.is_dead(), !disk.failed().is_empty(), unsynced);
                disk.plan(Plan::default());
                outcome
            });
            if unsynced {
                self.ended = Crash::Machine;
            }
            match opened {
                Ok((life, report)) if !dead => return self.started(life, &report),
                Err(error) if !dead && !failed => panic!("cannot be opened: {error}"),
                _ => {}
            }
            // Another attempt, or another crash first.
            let crash = if self.rng.random_bool(0.2) { Crash::Machine } else { Crash::Process };
            self.mounted.disk(|disk| match crash {
                Crash::Process => disk.process_death(),
                Crash::Machine => disk.power_cut(),
            });
            if crash == Crash::Machine {
                self.ended = crash;
            }
        }
    }

    fn started(&mut self, life: Life, report: &RecoveryReport) {
        let opened = Opened { start: life.log.log_start_offset(), end: life.log.log_end_offset() };
        self.history.push(format!(
            "  {:?} open after {:?}: {opened:?} {report:?}",
            life.dir.open_mode(),
            self.ended
        ));
        let lost = self.expect.reopened(self.ended, opened);
        let generation = life.dir.generation();
        let known = self.generation.replace(generation);
        assert!(
            !lost || known != Some(generation),
            "{report:?} lost what was acknowledged, and is generation {generation} still"
        );
        assert!(known.is_none_or(|known| known.disk_id == generation.disk_id));
        if life.dir.open_mode() == OpenMode::Clean {
            assert!(!lost && report.verified_bytes == 0 && !report.lost_bytes(), "{report:?}");
        }
        self.high_watermark = self.high_watermark.min(self.expect.end());
        self.ended = Crash::Process;
        self.life = Some(life);
    }

    fn log_end(&self) -> i64 {
        self.life.as_ref().unwrap().log.log_end_offset()
    }

    /// An offset of the log, its end included.
    fn offset(&mut self) -> i64 {
        self.rng.random_range(self.expect.start..=self.expect.end())
    }

    fn records(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let count = self.rng.random_range(1..4);
        let mut record = || {
            self.serial += 1;
            let key = format!("key {}", self.rng.random_range(0..6));
            let size = self.rng.random_range(0..120);
            let value = format!("{} {}", self.serial, "x".repeat(size));
            (key.into_bytes(), self.rng.random_bool(0.8).then_some(value.into_bytes()))
        };
        (0..count).map(|_| record()).collect()
    }

    /// What a producer sends next: data, or a transaction's end.
    fn next_batch(&mut self) -> Vec<u8> {
        self.clock += self.rng.random_range(-5..20);
        let records = self.records();
        if self.rng.random_bool(0.5) {
            return build(None, self.clock, &records);
        }
        let id = self.rng.random_range(0..3);
        let known =
            self.life.as_ref().unwrap().log.producers().active().find(|active| active.producer_id == id);
        let open = known.is_some_and(|known| known.current_txn_first_offset.is_some());
        let (epoch, last) = known.map_or((0, -1), |known| (known.producer_epoch, known.last_sequence));
        if open && self.rng.random_bool(0.4) {
            return marker(id, epoch, self.clock, self.rng.random());
        }
        let newer = !open && self.rng.random_bool(0.1);
        let (epoch, sequence) = if newer { (epoch + 1, 0) } else { (epoch, last + 1) };
        let transactional = open || self.rng.random_bool(0.2);
        build(Some(Producer { id, epoch, sequence, transactional }), self.clock, &records)
    }

    fn append(&mut self) {
        let bytes = self.next_batch();
        let (epoch, end) = (self.epoch, self.expect.end());
        let sent = Sent::placed(&bytes, end, epoch);
        let origin = if sent.header.is_control() { Origin::Coordinator } else { Origin::Client };
        let outcome =
            self.attempt(|life| life.log.append(&Batch::parse(&bytes).unwrap(), origin, epoch, NOW));
        match outcome {
            Outcome::Done(info) => {
                assert!(!info.duplicate);
                assert_eq!(info.base_offset, end);
                self.expect.acknowledged(sent);
                if origin == Origin::Client && self.rng.random_bool(0.2) {
                    self.resend(&bytes);
                }
            }
            Outcome::Refused(error) => {
                assert_eq!(self.log_end(), end, "{error}");
                if self.life.as_ref().unwrap().log.shared.check_writable().is_err() {
                    self.expect.doubtful.push(sent);
                }
                self.refused(&error);
            }
            Outcome::Died => {
                self.expect.doubtful.push(sent);
                self.died();
            }
        }
    }

    /// A producer that heard nothing sends again.
    fn resend(&mut self, bytes: &[u8]) {
        let sent = self.expect.batches.last().unwrap().header;
        if !sent.has_producer_id() {
            return;
        }
        let log = &mut self.life.as_mut().unwrap().log;
        let again = log.append(&Batch::parse(bytes).unwrap(), Origin::Client, self.epoch, NOW).unwrap();
        assert!(again.duplicate);
        assert_eq!((again.base_offset, again.last_offset), (sent.base_offset, sent.last_offset()));
    }

    fn follow(&mut self) {
        let (mut sent, mut end) = (Vec::new(), self.expect.end());
        for _ in 0..self.rng.random_range(1..5) {
            self.clock += self.rng.random_range(-5..20);
            if self.rng.random_bool(0.1) {
                self.epoch += 1;
            }
            let records = self.records();
            let batch = Sent::placed(&build(None, self.clock, &records), end, self.epoch);
            end = batch.end();
            sent.push(batch);
        }
        let mut bytes: Vec<u8> = sent.iter().flat_map(|batch| batch.bytes.clone()).collect();
        // A fetch answer may end within a batch.
        bytes.extend_from_within(..30);
        let outcome = self.attempt(|life| life.log.append_as_follower(&bytes, NOW));
        // What the log shows, the leader may take for replicated.
        let shown = self.log_end();
        let (done, doubtful): (Vec<Sent>, Vec<Sent>) =
            sent.into_iter().partition(|batch| batch.end() <= shown);
        match outcome {
            Outcome::Done(info) => {
                assert_eq!(info.unwrap().last_offset + 1, shown);
                assert!(doubtful.is_empty());
                done.into_iter().for_each(|batch| self.expect.acknowledged(batch));
            }
            Outcome::Refused(error) => {
                done.into_iter().for_each(|batch| self.expect.acknowledged(batch));
                if self.life.as_ref().unwrap().log.shared.check_writable().is_err() {
                    self.expect.doubtful = doubtful;
                }
                self.refused(&error);
            }
            Outcome::Died => {
                self.expect.doubtful.extend(done);
                self.expect.doubtful.extend(doubtful);
                self.died();
            }
        }
    }

    /// The rest of an operation that changes nothing that can be read.
    fn unchanged<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        match outcome {
            Outcome::Done(done) => return Some(done),
            Outcome::Refused(error) => self.refused(&error),
            Outcome::Died => self.died(),
        }
        None
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        let epoch = self.epoch;
        let outcome = self.attempt(|life| life.log.assign_epoch(epoch));
        self.unchanged(outcome);
    }

    fn roll(&mut self) {
        let outcome = self.attempt(|life| life.log.roll(NOW));
        self.unchanged(outcome);
    }

    fn flush(&mut self) {
        let outcome = self.attempt(|life| life.log.flush());
        let failed = matches!(outcome, Outcome::Refused(_));
        if failed {
            let writable = self.life.as_ref().unwrap().log.shared.check_writable();
            assert!(writable.is_err(), "a failed sync, and the log goes on");
        }
        if let Some(point) = self.unchanged(outcome) {
            assert_eq!(point, self.expect.end());
            self.expect.flushed();
        }
    }

    fn truncate(&mut self) {
        let offset = self.offset().max(self.high_watermark);
        match self.attempt(|life| life.log.truncate_to(offset, NOW)) {
            Outcome::Done(end) => {
                self.expect.truncated(offset);
                // Of a batch across the start nothing is left: the log begins there anew.
                if end > self.expect.end() {
                    assert_eq!(end, self.expect.start);
                    self.expect.restarted(end);
                    self.high_watermark = end;
                }
                assert!(end <= offset || end == self.expect.start);
            }
            Outcome::Refused(error) => {
                self.expect.may_be_truncated(offset);
                self.expect.given_up = self.expect.floor < self.expect.start;
                if self.life.as_ref().unwrap().log.shared.check_writable().is_ok() {
                    assert_eq!(self.log_end(), self.expect.end(), "half done: {error}");
                    self.expect.floor = self.expect.end();
                }
                self.refused(&error);
            }
            Outcome::Died => {
                self.expect.may_be_truncated(offset);
                self.expect.given_up = self.expect.floor < self.expect.start;
                self.died();
            }
        }
    }

    fn truncate_fully(&mut self) {
        let offset = self.expect.end() + self.rng.random_range(0..20);
        match self.attempt(|life| life.log.truncate_fully_and_start_at(offset, NOW)) {
            Outcome::Done(()) => {
                self.expect.restarted(offset);
                self.high_watermark = offset;
            }
            Outcome::Refused(error) => {
                self.expect.given_up = self.life.as_ref().unwrap().log.shared.check_writable().is_err();
                self.refused(&error);
            }
            Outcome::Died => {
                self.expect.given_up = true;
                self.died();
            }
        }
    }

    fn delete_records(&mut self) {
        let offset = self.offset().min(self.high_watermark).max(self.expect.start);
        let outcome = self.attempt(|life| life.log.delete_records(offset));
        // Who died had told nobody, but it may have been so.
        self.expect.start = self.expect.start.max(offset);
        self.unchanged(outcome);
    }

    fn retention(&mut self) {
        let remove = self.rng.random_bool(0.7);
        let high_watermark = self.high_watermark;
        let outcome = self.attempt(|life| {
            let garbage = life.log.retention(NOW, high_watermark)?;
            if remove { garbage.remove() } else { Ok(()) }
        });
        let start = self.life.as_ref().unwrap().log.log_start_offset();
        assert!(start >= self.expect.start, "the log start offset went back");
        self.expect.start = start;
        self.unchanged(outcome);
    }

    fn compact(&mut self) {
        let (now_ms, high_watermark) = (self.clock + 50, self.high_watermark);
        let remove = self.rng.random_bool(0.7);
        let outcome = self.attempt(|life| {
            let Some(task) = life.log.clean_task(now_ms, high_watermark)? else { return Ok(()) };
            let cleaned = match task.run(&CleanerLimits::default(), &()) {
                Err(StorageError::CleaningStopped { .. }) => return Ok(()),
                other => other?,
            };
            let garbage = life.log.install(cleaned)?;
            if remove { garbage.remove() } else { Ok(()) }
        });
        self.unchanged(outcome);
    }

    fn checkpoint(&mut self) {
        let tp = self.tp.clone();
        let outcome = self.attempt(|life| checkpoint(life, &tp));
        if matches!(outcome, Outcome::Done(())) {
            self.expect.kept_start = self.expect.start;
        }
        self.unchanged(outcome);
    }

    /// A stop in order.
    fn close(&mut self) {
        let tp = self.tp.clone();
        let outcome = self.attempt(|life| {
            life.log.close_clean()?;
            checkpoint(life, &tp)?;
            life.dir.mark_clean_shutdown(1)
        });
        if let Outcome::Done(()) = outcome {
            self.expect.flushed();
            self.expect.kept_start = self.expect.start;
            let crash = crash(&mut self.rng);
            return self.die(crash);
        }
        self.died();
    }
}

/// Opens directory and log as the broker does.
fn open(
    root: &std::path::Path,
    tp: &TopicPartition,
    config: &Arc<LogConfig>,
) -> Result<(Life, RecoveryReport), StorageError> {
    let id = Uuid::from_u128(77);
    let dir = LogDir::open(root, OWNER)?;
    let (log, report) = if dir.partition_path(tp).exists() {
        let (mut log, report) = dir.open_log(tp, config.clone(), NOW)?;
        if log.topic_id().is_none() {
            log.set_topic_id(id)?;
        }
        assert_eq!(log.topic_id(), Some(id));
        (log, report)
    } else {
        (dir.create_log(tp, id, config.clone(), NOW)?, RecoveryReport::default())
    };
    dir.mark_recovered()?;
    Ok((Life { log, dir }, report))
}

fn checkpoint(life: &mut Life, tp: &TopicPartition) -> Result<(), StorageError> {
    let Life { log, dir } = life;
    dir.write_recovery_points([(tp, log.recovery_point())].into_iter())?;
    dir.write_log_start_offsets([(tp, log.log_start_offset())].into_iter())
}
