//! The table of targets.

use milena_broker::fuzzing;

use crate::{logs, memory, samples, wire};

/// Bytes that a target may hold whatever its input: buffers of codecs and of files, a fixed number of them.
const FIXED: usize = 24 << 20;
/// Bytes that it may hold for each byte of input: an array element takes up to some 300 bytes and may be one byte on the
/// wire.
const PER_BYTE: usize = 1024;
/// What records may decompress to, in bytes.
pub const DECOMPRESSED: usize = 4 << 20;

/// One decoder, or a few that belong together.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// The longest input that is tried, in bytes.
    longest: usize,
    run: fn(&[u8]),
    /// Inputs to begin with: what the product itself writes.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The part of an input that is tried.
    pub fn limit<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        input.get(..self.longest).unwrap_or(input)
    }

    /// Tries one input.
    ///
    /// # Panics
    /// Where the product does, or holds too much memory: that is what all this is for.
    #[allow(clippy::panic)]
    pub fn once(&self, input: &[u8]) {
        let allowed = FIXED.saturating_add(input.len().saturating_mul(PER_BYTE));
        let held = memory::most_held(|| (self.run)(input));
        assert!(
            held <= allowed,
            "{}: {held} bytes were held for an input of {}, {allowed} are allowed",
            self.name,
            input.len()
        );
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "request", longest: 4096, run: wire::request, seeds: samples::requests },
    Target { name: "fetch_answer", longest: 4096, run: wire::fetch_answer, seeds: samples::noise },
    Target { name: "exchange", longest: 4096, run: fuzzing::exchange, seeds: fuzzing::exchange_examples },
    Target { name: "inquiry", longest: 4096, run: wire::inquiry, seeds: samples::inquiries },
    Target { name: "batch", longest: 8192, run: wire::batch, seeds: samples::batches },
    Target { name: "message_set", longest: 8192, run: wire::message_set, seeds: samples::message_sets },
    Target { name: "group_record", longest: 4096, run: wire::group_record, seeds: samples::group_records },
    Target { name: "partition_state", longest: 8200, run: wire::partition_state, seeds: samples::states },
    Target { name: "log", longest: 16384, run: logs::log, seeds: samples::logs },
    Target { name: "directory", longest: 4096, run: logs::directory, seeds: samples::directories },
    Target { name: "quorum", longest: 8192, run: logs::quorum, seeds: samples::quorums },
    Target { name: "remembered", longest: 8192, run: logs::remembered, seeds: samples::remembered },
];
