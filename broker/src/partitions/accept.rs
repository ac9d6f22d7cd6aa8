//! From what a producer sent to the batch that is stored: as it came wherever that is allowed.

use bytes::Bytes;
use milena_records::{
    Batch, BatchHeader, Codec, ProduceRules, RecordsError, magic_of, restamped_header, up_convert,
    validate_produce,
};
use milena_storage::InMemory;

use super::read::MOST_IN_MEMORY;
use crate::config::TopicConfig;

/// What the records of a compressed batch may grow to where they have to be looked at.
const MAX_DECOMPRESSED_BYTES: usize = 100 * 1024 * 1024;
/// The magic that is stored.
const MAGIC: i8 = 2;

/// Version of a Produce request, which says what records it may carry.
#[derive(Clone, Copy, Debug)]
pub struct ProduceVersion(pub i16);

impl ProduceVersion {
    /// Message sets of magic 0 and 1: before the record batches of Kafka 0.11.
    fn takes_message_sets(self) -> bool {
        self.0 < 3
    }

    /// zstd (KIP-110).
    fn takes_zstd(self) -> bool {
        self.0 >= 7
    }
}

/// A batch that may be stored.
pub struct AcceptedBatch {
    /// The batch's bytes, those of the header as the producer sent them.
    pub bytes: Bytes,
    /// The header to store, but for offset and leader epoch.
    pub header: BatchHeader,
    /// Whether the bytes lie where they came, in the buffer of the request.
    pub in_request: bool,
}

impl AcceptedBatch {
    /// The batch as the log takes it.
    pub fn batch(&self) -> Batch<'_> {
        Batch { header: self.header, bytes: &self.bytes }
    }

    /// The batch for readers at the log's end, of a request that lies in a buffer of that size. None where they would
    /// be sent it from its file.
    pub fn in_memory(&self, request_buffer: usize) -> Option<InMemory<'_>> {
        if self.bytes.len() > MOST_IN_MEMORY {
            return None;
        }
        let buffer = if self.in_request { request_buffer } else { self.bytes.len() };
        Some(InMemory { bytes: &self.bytes, buffer })
    }
}

/// Checks a producer's records and makes them what the topic stores.
///
/// # Errors
/// What Kafka refuses, too.
pub fn accept(
    records: Bytes,
    config: &TopicConfig,
    version: ProduceVersion,
    now_ms: i64,
) -> Result<AcceptedBatch, RecordsError> {
    let came_at = records.as_ptr();
    let records = match magic_of(&records) {
        Some(magic) if magic < MAGIC && version.takes_message_sets() => {
            up_convert(&records, MAX_DECOMPRESSED_BYTES)?
        }
        _ => records,
    };
    let rules = ProduceRules {
        max_message_bytes: config.max_message_bytes,
        allow_zstd: version.takes_zstd(),
        require_keys: config.log.cleanup_compact,
        timestamp_type: config.timestamp_type,
        now_ms,
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
    };
    let checked = validate_produce(&records, &rules)?;
    let bytes = match config.compression {
        Some(codec) if codec.compression != checked.compression => recompress(&records, codec)?,
        _ => records,
    };
    if bytes.len() > config.max_message_bytes {
        return Err(RecordsError::TooLarge { size: bytes.len(), limit: config.max_message_bytes });
    }
    let header = if checked.needs_restamp() {
        restamped_header(&bytes, checked.timestamp_type, checked.max_timestamp)?
    } else {
        BatchHeader::parse(&bytes)?
    };
    let in_request = bytes.as_ptr() == came_at;
    Ok(AcceptedBatch { bytes, header, in_request })
}

fn recompress(records: &Bytes, codec: Codec) -> Result<Bytes, RecordsError> {
    Batch::parse(records)?.recompressed(codec, MAX_DECOMPRESSED_BYTES)
}

#[cfg(test)]
mod tests {
    use milena_records::{BatchBuilder, Compression, TimestampType};

    use super::*;
    use crate::config::{BrokerConfig, Values};

    const NEWEST: ProduceVersion = ProduceVersion(13);

    fn topic(settings: &[(&str, &str)]) -> TopicConfig {
        let own = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
        TopicConfig::resolve(&BrokerConfig::new(Values::default()), &own)
    }

    fn produced(codec: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(0).compression(codec);
        builder.append(1_000, Some(b"k"), Some(b"value value value value"), &[]).unwrap();
        builder.build().unwrap()
    }

    #[test]
    fn a_batch_is_stored_as_it_came() {
        let sent = produced(Compression::None);
        let accepted = accept(sent.clone(), &topic(&[]), NEWEST, 2_000).unwrap();
        assert_eq!(accepted.bytes.as_ptr(), sent.as_ptr(), "not copied");
        assert_eq!(accepted.header, BatchHeader::parse(&sent).unwrap());
    }

    #[test]
    fn the_topics_codec_counts() {
        let config = topic(&[("compression.type", "zstd")]);
        let accepted = accept(produced(Compression::Gzip), &config, NEWEST, 2_000).unwrap();
        assert_eq!(accepted.header.compression().unwrap(), Compression::Zstd);
        let batch = Batch::parse(&accepted.bytes).unwrap();
        batch.verify_crc().unwrap();
        let records = batch.records(1_000).unwrap();
        assert_eq!(records.iter().next().unwrap().unwrap().key, Some(&b"k"[..]));
    }

    #[test]
    fn the_topics_level_counts() {
        let mut builder = BatchBuilder::new(0);
        for i in 0..2_000u32 {
            let value = format!("{} {}", i % 97, i.wrapping_mul(2_654_435_761) >> 22);
            builder.append(1_000, Some(b"k"), Some(value.as_bytes()), &[]).unwrap();
        }
        let sent = builder.build().unwrap();
        let stored = |settings: &[(&str, &str)]| {
            accept(sent.clone(), &topic(settings), NEWEST, 2_000).unwrap().bytes.len()
        };
        for (codec, level, low, high) in [
            ("gzip", "compression.gzip.level", "1", "9"),
            ("lz4", "compression.lz4.level", "9", "12"),
            ("zstd", "compression.zstd.level", "-50", "19"),
        ] {
            let [low, high] = [low, high].map(|value| stored(&[("compression.type", codec), (level, value)]));
            assert!(high < low, "{codec}: {high} is not below {low}");
        }
    }

    #[test]
    fn log_append_time_is_the_brokers() {
        let config = topic(&[("message.timestamp.type", "LogAppendTime")]);
        let accepted = accept(produced(Compression::None), &config, NEWEST, 2_000).unwrap();
        assert_eq!(accepted.header.max_timestamp, 2_000);
        assert_eq!(accepted.header.timestamp_type(), TimestampType::LogAppendTime);
    }

    #[test]
    fn compacted_topics_need_keys() {
        let mut builder = BatchBuilder::new(0);
        builder.append(1_000, None, Some(b"v"), &[]).unwrap();
        let sent = builder.build().unwrap();
        assert!(accept(sent.clone(), &topic(&[]), NEWEST, 2_000).is_ok());
        assert!(accept(sent, &topic(&[("cleanup.policy", "compact")]), NEWEST, 2_000).is_err());
    }
}
