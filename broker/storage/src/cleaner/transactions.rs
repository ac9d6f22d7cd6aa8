//! Which transactional batches count, and how long markers are needed. Pure; Kafka's `CleanedTransactionMetadata`.

use std::collections::{HashMap, HashSet};

use milena_records::BatchHeader;

/// Transactions that were aborted: by producer, the offsets from the first data batch to the marker, in order.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    spans: HashMap<i64, Vec<(i64, i64)>>,
    /// Transactions that have begun and not ended yet: producer to first offset.
    open: HashMap<i64, i64>,
}

impl Aborted {
    /// Takes note of the batches of a log in their order. `commit` says what a marker says; none: the batch is no
    /// marker.
    pub(super) fn note(&mut self, header: &BatchHeader, commit: Option<bool>) {
        let producer = header.producer_id;
        match commit {
            None if header.is_transactional() && !header.is_control() => {
                self.open.entry(producer).or_insert(header.base_offset);
            }
            None => {}
            Some(commit) => match self.open.remove(&producer) {
                Some(first) if !commit => {
                    self.spans.entry(producer).or_default().push((first, header.base_offset));
                }
                _ => {}
            },
        }
    }

    /// First offset of the oldest transaction that has not ended.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.open.values().copied().min()
    }

    /// Whether a data batch is part of an aborted transaction.
    pub(super) fn contains(&self, header: &BatchHeader) -> bool {
        let offset = header.base_offset;
        header.is_transactional()
            && self.spans.get(&header.producer_id).is_some_and(|spans| {
                let next = spans.partition_point(|(first, _)| *first <= offset);
                next.checked_sub(1).and_then(|at| spans.get(at)).is_some_and(|(_, marker)| offset < *marker)
            })
    }
}

/// Whose data a pass over a log has met since the producer's last marker.
#[derive(Debug, Default)]
pub(super) struct Met(HashSet<i64>);

impl Met {
    /// A data batch, be it kept or dropped.
    pub(super) fn data(&mut self, header: &BatchHeader) {
        if header.is_transactional() {
            self.0.insert(header.producer_id);
        }
    }

    /// A marker; whether it ended anything that is still in the log. One that did is needed.
    pub(super) fn marker(&mut self, header: &BatchHeader) -> bool {
        self.0.remove(&header.producer_id)
    }
}

#[cfg(test)]
mod tests {
    use milena_records::BatchBuilder;

    use super::*;

    fn batch(producer: i64, offset: i64, control: bool) -> BatchHeader {
        let mut builder = BatchBuilder::new(offset).producer(producer, 0, 0).transactional();
        if control {
            builder = builder.control();
        }
        builder.append(0, Some(b"k"), Some(b"v"), &[]).unwrap();
        BatchHeader::parse(&builder.build().unwrap()).unwrap()
    }

    #[test]
    fn a_batch_is_aborted_from_its_first_record_to_its_marker() {
        let mut aborted = Aborted::default();
        // Producer 1: aborted 0..=2, committed 3..=4, aborted 6..=8. Producer 2 lies between.
        for (producer, offset, commit) in [
            (1, 0, None),
            (2, 1, None),
            (1, 2, Some(false)),
            (1, 3, None),
            (1, 4, Some(true)),
            (2, 5, Some(true)),
            (1, 6, None),
            (1, 7, None),
            (1, 8, Some(false)),
            (1, 9, None),
        ] {
            aborted.note(&batch(producer, offset, commit.is_some()), commit);
        }
        let found = |producer| -> Vec<i64> {
            (0..12).filter(|offset| aborted.contains(&batch(producer, *offset, false))).collect()
        };
        assert_eq!(found(1), [0, 1, 6, 7]);
        assert_eq!(found(2), [0; 0]);
        assert_eq!(aborted.first_open(), Some(9));
    }
}
