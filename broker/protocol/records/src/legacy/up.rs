//! From a produced message set to one batch of magic 2.

use bytes::Bytes;

use crate::{BatchBuilder, Compression, Fault, RecordsError, TimestampType, compression};

use super::{Message, MessageFormat, MessageSet};

/// Converts what a client produced with Produce 0 to 2 into one batch of magic 2 at base offset 0, which
/// [`crate::validate_produce`] then checks like any other.
///
/// Offsets in the set mean nothing, as in Kafka. Messages of magic 0 have no timestamp. The batch gets the last
/// codec that is found in the set; wrappers may stand beside plain messages, which Kafka refuses and old clients
/// do not notice. All wrappers together decompress to at most `limit` bytes.
///
/// # Errors
/// No messages; magic 2, or two magics in one set; a message that is cut short, malformed or has another CRC; a
/// wrapper in a wrapper; LogAppendTime; what the codecs refuse, and zstd, which came after message sets.
pub fn up_convert(message_set: &[u8], limit: usize) -> Result<Bytes, RecordsError> {
    let mut conversion =
        Conversion { batch: BatchBuilder::new(0), format: None, codec: Compression::None, limit };
    for message in MessageSet::new(message_set) {
        conversion.outer(&message?)?;
    }
    conversion.batch.compression(conversion.codec).build()
}

struct Conversion {
    batch: BatchBuilder,
    /// The magic of the first message, which all others must have.
    format: Option<MessageFormat>,
    /// The last codec that was found.
    codec: Compression,
    /// What wrappers may still decompress to.
    limit: usize,
}

impl Conversion {
    fn outer(&mut self, message: &Message<'_>) -> Result<(), RecordsError> {
        let magic = message.format.magic();
        if *self.format.get_or_insert(message.format) != message.format {
            return Err(RecordsError::UnexpectedMagic { magic });
        }
        if message.timestamp_type() == TimestampType::LogAppendTime {
            return Err(RecordsError::LogAppendTimeFromProducer);
        }
        match message.attributes.compression()? {
            Compression::None => self.append(message),
            codec @ Compression::Zstd => Err(RecordsError::CompressionNotAllowed { codec }),
            codec => self.wrapper(message, codec),
        }
    }

    fn wrapper(&mut self, wrapper: &Message<'_>, codec: Compression) -> Result<(), RecordsError> {
        let value = wrapper.value.ok_or_else(|| self.malformed(Fault::NullWrapper))?;
        let inner_set = compression::decompress(codec, value, self.limit, wrapper.format.lz4_header())?;
        self.limit = self.limit.saturating_sub(inner_set.len());
        self.codec = codec;
        let before = self.batch.record_count();
        for inner in MessageSet::new(&inner_set) {
            let inner = inner?;
            if inner.format != wrapper.format {
                return Err(self.malformed(Fault::InnerMagic(inner.format.magic())));
            }
            if inner.attributes.is_compressed() {
                return Err(self.malformed(Fault::NestedWrapper));
            }
            self.append(&inner)?;
        }
        if self.batch.record_count() == before {
            return Err(RecordsError::Empty);
        }
        Ok(())
    }

    fn append(&mut self, message: &Message<'_>) -> Result<(), RecordsError> {
        self.batch.append(message.timestamp, message.key, message.value, &[])
    }

    fn malformed(&self, fault: Fault) -> RecordsError {
        RecordsError::Malformed { index: self.batch.record_count(), fault }
    }
}
