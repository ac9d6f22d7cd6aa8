//! Records of Apache Kafka's metadata quorum (KRaft), as far as they tell of topics. Each is a frame of its own
//! (KIP-631): version of the frame, number and version of the type, then the fields as the flexible versions of
//! Kafka's protocol have them.

use std::collections::BTreeMap;

use uuid::Uuid;

/// Types that are read, by their number in Kafka's schemas (`metadata/src/main/resources/common/metadata`).
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const REMOVE_TOPIC: u32 = 9;

/// The only version of the frame.
const FRAME_VERSION: u32 = 1;
/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
/// A partition has no more replicas than this; a longer list is not read.
const MAX_REPLICAS: u32 = 1 << 16;

/// What a record says of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A topic was made.
    Topic { name: String, id: Uuid },
    /// A partition was made, or is in a snapshot.
    Partition { topic: Uuid, index: i32, replicas: Vec<i32>, leader_epoch: i32 },
    /// A partition changed. A leader that is named, be it none, begins a leader epoch.
    PartitionChange { topic: Uuid, index: i32, replicas: Option<Vec<i32>>, new_leader: bool },
    /// A topic's setting was set, or reset where there is no value.
    Config { topic: String, name: String, value: Option<String> },
    /// A topic was deleted.
    RemoveTopic { id: Uuid },
    /// Something else.
    Other,
}

/// Reads a record's value.
///
/// # Errors
/// In words, what is wrong with a record of a type that is read.
pub fn decode(value: &[u8]) -> Result<MetadataRecord, String> {
    let mut cursor = Cursor(value);
    let frame = cursor.unsigned_varint().ok_or("no frame")?;
    if frame != FRAME_VERSION {
        return Err(format!("frame version {frame}, not {FRAME_VERSION}"));
    }
    let (Some(kind), Some(version)) = (cursor.unsigned_varint(), cursor.unsigned_varint()) else {
        return Err("no type".to_owned());
    };
    let record = match kind {
        TOPIC => topic(&mut cursor),
        PARTITION => partition(&mut cursor),
        CONFIG => config(&mut cursor),
        PARTITION_CHANGE => partition_change(&mut cursor),
        REMOVE_TOPIC => cursor.uuid().map(|id| MetadataRecord::RemoveTopic { id }),
        _ => Some(MetadataRecord::Other),
    };
    record.ok_or_else(|| format!("a record of type {kind}, version {version}, is cut short"))
}

fn topic(cursor: &mut Cursor<'_>) -> Option<MetadataRecord> {
    Some(MetadataRecord::Topic { name: cursor.string()??, id: cursor.uuid()? })
}

fn partition(cursor: &mut Cursor<'_>) -> Option<MetadataRecord> {
    let (index, topic) = (cursor.i32()?, cursor.uuid()?);
    let replicas = cursor.ids()?;
    let (_in_sync, _removing, _adding, _leader) =
        (cursor.ids()?, cursor.ids()?, cursor.ids()?, cursor.i32()?);
    // What follows, the partition epoch and directories, is for Kafka's controller.
    Some(MetadataRecord::Partition { topic, index, replicas, leader_epoch: cursor.i32()? })
}

fn partition_change(cursor: &mut Cursor<'_>) -> Option<MetadataRecord> {
    /// Tags of the fields that count here.
    const LEADER: u32 = 1;
    const REPLICAS: u32 = 2;
    /// `NO_LEADER_CHANGE`.
    const UNCHANGED: i32 = -2;
    let (index, topic) = (cursor.i32()?, cursor.uuid()?);
    let mut tagged = cursor.tagged()?;
    let new_leader = match tagged.remove(&LEADER) {
        Some(field) => Cursor(field).i32()? != UNCHANGED,
        None => false,
    };
    let replicas = match tagged.remove(&REPLICAS) {
        Some(field) => Some(Cursor(field).ids()?),
        None => None,
    };
    Some(MetadataRecord::PartitionChange { topic, index, replicas, new_leader })
}

fn config(cursor: &mut Cursor<'_>) -> Option<MetadataRecord> {
    let resource = i8::from_be_bytes(cursor.take()?);
    let (topic, name, value) = (cursor.string()??, cursor.string()??, cursor.string()?);
    if resource != TOPIC_RESOURCE {
        return Some(MetadataRecord::Other);
    }
    Some(MetadataRecord::Config { topic, name, value })
}

/// Reads fields one after the other; none where the bytes end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self, len: u32) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(head)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.take().map(Uuid::from_bytes)
    }

    fn unsigned_varint(&mut self) -> Option<u32> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A compact string; none within for null.
    fn string(&mut self) -> Option<Option<String>> {
        match self.unsigned_varint()?.checked_sub(1) {
            None => Some(None),
            Some(len) => Some(Some(String::from_utf8(self.bytes(len)?.to_vec()).ok()?)),
        }
    }

    /// A compact array of broker ids; null counts as empty.
    fn ids(&mut self) -> Option<Vec<i32>> {
        let count = self.unsigned_varint()?.saturating_sub(1);
        (count <= MAX_REPLICAS).then_some(())?;
        (0..count).map(|_| self.i32()).collect()
    }

    fn tagged(&mut self) -> Option<BTreeMap<u32, &'a [u8]>> {
        let count = self.unsigned_varint()?;
        let mut fields = BTreeMap::new();
        for _ in 0..count {
            let (tag, size) = (self.unsigned_varint()?, self.unsigned_varint()?);
            fields.insert(tag, self.bytes(size)?);
        }
        Some(fields)
    }
}

#[cfg(test)]
#[allow(clippy::string_slice)]
mod tests {
    use super::*;

    /// Values of records that Apache Kafka 4.3 wrote.
    const ORDERS: &str = "010200076f7264657273439d6004bc0d48b188551dcb1950344e00";
    const SEGMENT_BYTES: &str = "01040002076f72646572730e7365676d656e742e6279746573083130343835373600";
    const BROKER_DEFAULT: &str = "0104000401146d696e2e696e73796e632e7265706c69636173023100";
    const PARTITION_1: &str = "010302000000016afc3d93fbc649f2a781fdcb3fda9622020000000102000000010101000000010000\
                               0000000000000256d88fd0a3582116de2d9f934593efca00";
    const STOPPED: &str =
        "01050200000000cbb8632300254b2e8c5c4f317c8b83fc040001010104ffffffff0605020000000107050200000001";
    const REMOVED: &str = "0109002561145eba6b416f865b6cfca3b4a11000";
    const FEATURE: &str = "010c00116d657461646174612e76657273696f6e001e00";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn id(text: &str) -> Uuid {
        Uuid::parse_str(text).unwrap()
    }

    #[test]
    fn records_of_topics_are_read() {
        let orders = id("439d6004bc0d48b188551dcb1950344e");
        assert_eq!(decode(&hex(ORDERS)), Ok(MetadataRecord::Topic { name: "orders".to_owned(), id: orders }));
        let topic = id("6afc3d93fbc649f2a781fdcb3fda9622");
        let expected = MetadataRecord::Partition { topic, index: 1, replicas: vec![1], leader_epoch: 0 };
        assert_eq!(decode(&hex(PARTITION_1)), Ok(expected));
        let removed = id("2561145eba6b416f865b6cfca3b4a110");
        assert_eq!(decode(&hex(REMOVED)), Ok(MetadataRecord::RemoveTopic { id: removed }));
        assert_eq!(decode(&hex(FEATURE)), Ok(MetadataRecord::Other));
    }

    #[test]
    fn a_leader_that_is_named_begins_an_epoch() {
        let topic = id("cbb8632300254b2e8c5c4f317c8b83fc");
        let of =
            |replicas, new_leader| MetadataRecord::PartitionChange { topic, index: 0, replicas, new_leader };
        assert_eq!(decode(&hex(STOPPED)), Ok(of(None, true)));
        let head = &STOPPED[..46];
        let with = |tagged: &str| decode(&hex(&format!("{head}{tagged}")));
        assert_eq!(with("00"), Ok(of(None, false)));
        assert_eq!(with("010104fffffffe"), Ok(of(None, false)));
        assert_eq!(with("010209030000000100000002"), Ok(of(Some(vec![1, 2]), false)));
    }

    #[test]
    fn settings_of_topics_alone_count() {
        let (topic, name) = ("orders".to_owned(), "segment.bytes".to_owned());
        let value = Some("1048576".to_owned());
        assert_eq!(decode(&hex(SEGMENT_BYTES)), Ok(MetadataRecord::Config { topic, name, value }));
        assert_eq!(decode(&hex(BROKER_DEFAULT)), Ok(MetadataRecord::Other));
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_never_a_panic() {
        for whole in [ORDERS, SEGMENT_BYTES, STOPPED, REMOVED].map(hex) {
            for end in 0..whole.len() - 1 {
                assert!(decode(&whole[..end]).is_err(), "{end} bytes of {whole:02x?}");
            }
        }
        assert!(decode(&hex("0204")).is_err(), "another frame version");
        assert!(decode(&hex("010302000000016afc3d93fbc649f2a781fdcb3fda9622ffffffff0f")).is_err());
    }
}
