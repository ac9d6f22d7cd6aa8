//! Makes checksums right: a fuzzer finds no CRC by trying, and behind a wrong one little is to be found.

use milena_records::{BatchHeader, CRC_START, LOG_OVERHEAD, entry_len};

/// Has the batches of magic 2 that follow each other in `bytes` with the checksums that their content asks for.
pub fn batches(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let Ok(length) = entry_len(rest) {
        let Some((batch, behind)) = rest.split_at_mut_checked(length) else { return };
        if BatchHeader::parse(batch).is_ok() {
            let crc = crc_fast::crc32_iscsi(batch.get(CRC_START..).unwrap_or_default());
            set(batch, CRC_START - 4, crc);
        }
        rest = behind;
    }
}

/// The same for messages of magic 0 and 1; those inside a compressed one stay as they are.
pub fn messages(bytes: &mut [u8]) {
    const CRC_END: usize = LOG_OVERHEAD + 4;
    let mut rest = bytes;
    while let Ok(length) = entry_len(rest) {
        let Some((message, behind)) = rest.split_at_mut_checked(length) else { return };
        let crc = crc32fast::hash(message.get(CRC_END..).unwrap_or_default());
        set(message, LOG_OVERHEAD, crc);
        rest = behind;
    }
}

/// A producer snapshot: the checksum of what is behind its head.
pub fn snapshot(bytes: &mut [u8]) {
    let crc = crc_fast::crc32_iscsi(bytes.get(6..).unwrap_or_default());
    set(bytes, 2, crc);
}

/// The lines of a remembered state: JSON becomes a line with its checksum.
pub fn lines(json: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in json.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        lines.extend(format!("{:08x} ", crc32fast::hash(line)).bytes());
        lines.extend(line);
        lines.push(b'\n');
    }
    lines
}

fn set(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = crc.to_be_bytes();
    }
}
