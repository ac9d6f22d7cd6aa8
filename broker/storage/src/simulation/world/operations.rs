//! What a broker does to its log, and what is expected of it.

use super::*;

impl World {
    pub(super) fn log_end(&self) -> i64 {
        self.life.as_ref().unwrap().log.log_end_offset()
    }

    /// An offset of the log, its end included.
    pub(super) fn offset(&mut self) -> i64 {
        self.rng.random_range(self.expect.start..=self.expect.end())
    }

    pub(super) fn records(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
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
    pub(super) fn next_batch(&mut self) -> Vec<u8> {
        self.clock += self.rng.random_range(-5..20);
        let records = self.records();
        if self.rng.random_bool(0.5) {
            return build(None, self.clock, &records);
        }
        let id = self.rng.random_range(0..3);
        let known =
            self.life.as_ref().unwrap().log.producers().active().find(|active| active.producer_id == id);
        let open = known.is_some_and(|known| known.current_txn_first_offset.is_some());
        if let Some(known) = known.filter(|_| open && self.rng.random_bool(0.4)) {
            return marker(id, known.producer_epoch, self.clock, self.rng.random());
        }
        let (epoch, sequence) = self.next_sequence(id, known);
        self.sequences.insert(id, (epoch, sequence + records.len() as i32));
        let transactional = open || self.rng.random_bool(0.2);
        build(Some(Producer { id, epoch, sequence, transactional }), self.clock, &records)
    }

    /// Epoch and sequence of what a producer sends next. One that the log has forgotten goes on where it was, or takes a
    /// new epoch (KIP-360), and never begins its epoch again: a crash may bring back what was deleted before, and then
    /// the log knows those sequences.
    fn next_sequence(&mut self, id: i64, known: Option<ActiveProducer>) -> (i16, i32) {
        let open = known.is_some_and(|known| known.current_txn_first_offset.is_some());
        let newer = !open && self.rng.random_bool(0.1);
        let own = self.sequences.get(&id).copied().unwrap_or((0, 0));
        let (epoch, next) = match known {
            None => own,
            // Of a marker alone the log has no sequence, and would take none but 0.
            Some(known) if known.last_sequence < 0 => return (known.producer_epoch.max(own.0) + 1, 0),
            Some(known) => (known.producer_epoch, known.last_sequence + 1),
        };
        if newer { (epoch + 1, 0) } else { (epoch, next) }
    }

    pub(super) fn append(&mut self) {
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
    pub(super) fn resend(&mut self, bytes: &[u8]) {
        let sent = self.expect.batches.last().unwrap().header;
        if !sent.has_producer_id() {
            return;
        }
        let log = &mut self.life.as_mut().unwrap().log;
        let again = log.append(&Batch::parse(bytes).unwrap(), Origin::Client, self.epoch, NOW).unwrap();
        assert!(again.duplicate);
        assert_eq!((again.base_offset, again.last_offset), (sent.base_offset, sent.last_offset()));
    }

    pub(super) fn follow(&mut self) {
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
    pub(super) fn unchanged<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        match outcome {
            Outcome::Done(done) => return Some(done),
            Outcome::Refused(error) => self.refused(&error),
            Outcome::Died => self.died(),
        }
        None
    }

    pub(super) fn new_epoch(&mut self) {
        self.epoch += 1;
        let epoch = self.epoch;
        let outcome = self.attempt(|life| life.log.assign_epoch(epoch));
        self.unchanged(outcome);
    }

    pub(super) fn roll(&mut self) {
        let outcome = self.attempt(|life| life.log.roll(NOW));
        self.unchanged(outcome);
    }

    pub(super) fn flush(&mut self) {
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

    pub(super) fn truncate(&mut self) {
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

    pub(super) fn truncate_fully(&mut self) {
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

    pub(super) fn delete_records(&mut self) {
        let offset = self.offset().min(self.high_watermark).max(self.expect.start);
        let outcome = self.attempt(|life| life.log.delete_records(offset));
        // Who died had told nobody, but it may have been so.
        self.expect.start = self.expect.start.max(offset);
        self.unchanged(outcome);
    }

    pub(super) fn retention(&mut self) {
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

    pub(super) fn compact(&mut self) {
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

    pub(super) fn checkpoint(&mut self) {
        let tp = self.tp.clone();
        let outcome = self.attempt(|life| checkpoint(life, &tp));
        if matches!(outcome, Outcome::Done(())) {
            self.expect.kept_start = self.expect.start;
        }
        self.unchanged(outcome);
    }

    /// A stop in order.
    pub(super) fn close(&mut self) {
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
