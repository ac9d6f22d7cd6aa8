//! How rows of the tables are written.

use super::{Effect, Importance, Kind, Range, Setting, Synonym, Update};

const INT: i64 = i32::MAX as i64;
const SHORT: i64 = i16::MAX as i64;
const LONG: i64 = i64::MAX;

/// In milliseconds.
pub(super) const MINUTE: i64 = 60 * 1000;
/// In milliseconds.
pub(super) const HOUR: i64 = 60 * MINUTE;

/// What `compression.type` may be.
pub(super) const COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
/// What `cleanup.policy` may have in it.
pub(super) const CLEANUP: &[&str] = &["compact", "delete"];
/// What `message.timestamp.type` may be.
pub(super) const TIMESTAMP: &[&str] = &["CreateTime", "LogAppendTime"];
/// Levels of gzip; 0, no compression at all, is none.
pub(super) const GZIP: Kind = Kind::Int(Range { min: -1, max: 9, except: Some(0) });
/// Levels of lz4.
pub(super) const LZ4: Kind = Kind::Int(Range::new(1, 17));
/// Levels of zstd.
pub(super) const ZSTD: Kind = Kind::Int(Range::new(-131_072, 22));

/// Why settings of tiered storage change nothing.
pub(super) const NO_TIERS: &str = "there is no tiered storage";
/// Why settings of replication change nothing.
pub(super) const NO_REPLICATION: &str = "comes with a later version";
/// Why settings of followers' fetches change nothing.
pub(super) const ONE_EXCHANGE: &str =
    "each pair of brokers has one connection, on which records are sent as they come";
/// Why settings of transactions change nothing.
pub(super) const NO_TRANSACTIONS: &str = "transactions come with a later version";
/// Why sizes of buffers change nothing.
pub(super) const OWN_SIZE: &str = "buffers size themselves";
/// Why sizes of thread pools change nothing.
pub(super) const NO_POOLS: &str = "there are no such thread pools: connections are tasks on all CPUs";
/// Why settings of purgatories change nothing.
pub(super) const NO_PURGATORY: &str = "waiting requests need no purging";

/// A row whose setting works and can change while brokers run.
pub(super) const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        name,
        kind,
        default: Some(default),
        doc,
        importance: Importance::Medium,
        update: Update::Dynamic,
        effect: Effect::Works,
        synonyms: &[],
    }
}

/// A row of the broker setting that gives the topic setting `topic` its default.
pub(super) const fn inherited(name: &'static str, topic: &'static str, doc: &'static str) -> Setting {
    let mut rows = super::TOPIC_SETTINGS;
    while let [row, rest @ ..] = rows {
        if same_text(row.name.as_bytes(), topic.as_bytes()) {
            return Setting { name, doc, synonyms: &[], ..*row };
        }
        rows = rest;
    }
    // Where the table is built, which is when the crate is compiled.
    #[allow(clippy::panic)]
    {
        panic!("there is no such topic setting")
    }
}

/// `==` of texts, which constants cannot have yet.
const fn same_text(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

/// 16 bits, at least `min`.
pub(super) const fn short(min: i64) -> Kind {
    Kind::Short(Range::new(min, SHORT))
}

/// 32 bits, at least `min`.
pub(super) const fn int(min: i64) -> Kind {
    Kind::Int(Range::new(min, INT))
}

/// Any 32-bit number.
pub(super) const fn any_int() -> Kind {
    Kind::Int(Range::new(i32::MIN as i64, INT))
}

/// 64 bits, at least `min`.
pub(super) const fn long(min: i64) -> Kind {
    Kind::Long(Range::new(min, LONG))
}

/// A broker setting in the unit of the topic setting.
pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: 1 }
}

impl Setting {
    pub(super) const fn from(self, synonyms: &'static [Synonym]) -> Self {
        Self { synonyms, ..self }
    }

    pub(super) const fn unset(self) -> Self {
        Self { default: None, ..self }
    }

    pub(super) const fn high(self) -> Self {
        Self { importance: Importance::High, ..self }
    }

    pub(super) const fn low(self) -> Self {
        Self { importance: Importance::Low, ..self }
    }

    pub(super) const fn restart(self) -> Self {
        Self { update: Update::Restart, ..self }
    }

    pub(super) const fn without_effect(self, why: &'static str) -> Self {
        Self { effect: Effect::None(why), ..self }
    }

    pub(super) const fn default_only(self, why: &'static str) -> Self {
        Self { effect: Effect::DefaultOnly(why), ..self }
    }
}
