//! A broker's data directory with one log, its lives, and its crashes.

mod operations;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

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
    producer::ActiveProducer,
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
    /// Epoch and next sequence of each producer, as it counts itself.
    sequences: BTreeMap<i64, (i16, i32)>,
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
            sequences: BTreeMap::new(),
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
