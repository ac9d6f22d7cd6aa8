use bytes::{Buf, BufMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use proptest::prelude::*;

use super::*;
use crate::{encode_response, response_frame};

/// Distinct bytes, so that a reference to the wrong place is seen.
fn pattern(length: usize, seed: u8) -> Bytes {
    (0..length).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect()
}

fn contents(buffer: GatherBuf) -> Vec<u8> {
    let mut frame = buffer.into_frame().unwrap();
    let announced = usize::try_from(frame.get_u32()).unwrap();
    let bytes = frame.copy_to_bytes(frame.remaining());
    assert_eq!(announced, bytes.len());
    bytes.to_vec()
}

#[test]
fn large_slices_of_shared_bytes_are_referred_to() {
    let shared = pattern(3 * SHARE_THRESHOLD, 0);
    let mut buffer = GatherBuf::new([shared.clone()]);
    buffer.put_u16(1);
    buffer.put_slice(&shared[5..5 + SHARE_THRESHOLD]);
    buffer.put_u16(2);
    let pieces = buffer.into_frame().unwrap().into_pieces();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1].as_ptr(), shared[5..].as_ptr(), "not a copy");
    assert_eq!(pieces[1].len(), SHARE_THRESHOLD);
}

#[test]
fn small_slices_and_foreign_ones_are_copied() {
    let shared = pattern(3 * SHARE_THRESHOLD, 0);
    let foreign = pattern(3 * SHARE_THRESHOLD, 7);
    let mut buffer = GatherBuf::new([shared.clone()]);
    buffer.put_slice(&shared[..SHARE_THRESHOLD - 1]);
    buffer.put_slice(&foreign);
    assert_eq!(buffer.into_frame().unwrap().into_pieces().len(), 1);
}

#[test]
fn the_records_of_a_fetch_are_not_copied() {
    let records: Vec<Bytes> = (0..3).map(|seed| pattern(10_000, seed)).collect();
    let partitions =
        records.iter().map(|records| PartitionData::default().with_records(Some(records.clone())));
    let topic = FetchableTopicResponse::default().with_partitions(partitions.collect());
    let response = FetchResponse::default().with_responses(vec![topic]);
    for version in 0..=18 {
        let pieces = response_frame::<FetchRequest>(version, 1, &response).unwrap().into_pieces();
        for records in &records {
            assert!(pieces.iter().any(|piece| piece.as_ptr() == records.as_ptr()), "version {version}");
        }
    }
}

#[test]
fn a_frame_is_written_in_parts() {
    let shared = pattern(SHARE_THRESHOLD, 3);
    let mut buffer = GatherBuf::new([shared.clone()]);
    buffer.put_u8(9);
    buffer.put_slice(&shared);
    let frame = buffer.into_frame().unwrap();
    let whole = frame.clone().copy_to_bytes(frame.remaining());
    for part in [1, 3, 5, 6, 1000] {
        let mut frame = frame.clone();
        let mut written = Vec::new();
        while frame.has_remaining() {
            let mut slices = [std::io::IoSlice::new(&[]); 4];
            let filled = frame.chunks_vectored(&mut slices);
            let ready: Vec<u8> = slices[..filled].concat_slices();
            let count = part.min(ready.len());
            written.extend_from_slice(&ready[..count]);
            frame.advance(count);
        }
        assert_eq!(written, whole, "{part} bytes at a time");
    }
}

trait ConcatSlices {
    fn concat_slices(&self) -> Vec<u8>;
}

impl ConcatSlices for [std::io::IoSlice<'_>] {
    fn concat_slices(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

/// What an encoder may do to its buffer.
#[derive(Debug, Clone)]
enum Step {
    Int(i64),
    Copied(usize),
    /// A slice of one of two shared blocks.
    Shared {
        block: bool,
        from: usize,
        length: usize,
    },
    /// Uninitialised memory, written and then claimed.
    Chunk(u8),
    /// To an offset: that many thousandths of the present one.
    Seek(usize),
    /// A change of bytes that were put before: where, in thousandths, and how many.
    Patch {
        at: usize,
        length: usize,
    },
}

const BLOCK: usize = 4 * SHARE_THRESHOLD;

fn step() -> impl Strategy<Value = Step> {
    let shared = (any::<bool>(), 0..BLOCK, 0..BLOCK);
    prop_oneof![
        any::<i64>().prop_map(Step::Int),
        (0..3000_usize).prop_map(Step::Copied),
        shared.prop_map(|(block, from, length)| Step::Shared { block, from, length }),
        any::<u8>().prop_map(Step::Chunk),
        (0..1200_usize).prop_map(Step::Seek),
        (0..1000_usize, 0..9_usize).prop_map(|(at, length)| Step::Patch { at, length }),
    ]
}

fn apply(step: &Step, blocks: &[Bytes; 2], buffer: &mut impl ByteBufMut) {
    let offset = buffer.offset();
    match *step {
        Step::Int(value) => buffer.put_i64(value),
        Step::Copied(length) => buffer.put_slice(&pattern(length, 0x55)),
        Step::Shared { block, from, length } => {
            let block = &blocks[usize::from(block)];
            buffer.put_slice(&block[from..(from + length).min(block.len())]);
        }
        Step::Chunk(value) => buffer.put_bytes(value, 11),
        Step::Seek(thousandths) => buffer.seek(offset * thousandths / 1000),
        Step::Patch { at, length } => {
            let at = offset * at / 1000;
            buffer.range(at..(at + length).min(offset)).fill(0xaa);
        }
    }
}

proptest! {
    #[test]
    fn it_holds_what_one_piece_of_memory_would(steps in prop::collection::vec(step(), 0..30)) {
        let blocks = [pattern(BLOCK, 1), pattern(BLOCK, 2)];
        let mut plain = BytesMut::new();
        let mut gathered = GatherBuf::new(blocks.clone());
        for step in &steps {
            apply(step, &blocks, &mut plain);
            apply(step, &blocks, &mut gathered);
            prop_assert_eq!(gathered.offset(), plain.offset());
        }
        prop_assert_eq!(contents(gathered), plain.to_vec());
        prop_assert_eq!(&blocks[0], &pattern(BLOCK, 1), "what is shared is never changed");
    }

    #[test]
    fn fetch_responses_are_encoded_as_in_one_piece(
        lengths in prop::collection::vec(prop::option::of(0..6000_usize), 0..8),
        version in 0_i16..=18,
    ) {
        let partitions = lengths.iter().enumerate().map(|(index, length)| {
            let records = length.map(|length| pattern(length, u8::try_from(index).unwrap()));
            PartitionData::default().with_records(records)
        });
        let topic = FetchableTopicResponse::default().with_partitions(partitions.collect());
        let response = FetchResponse::default().with_responses(vec![topic]);
        let mut plain = BytesMut::new();
        encode_response::<FetchRequest>(version, 5, &response, &mut plain).unwrap();
        let mut frame = response_frame::<FetchRequest>(version, 5, &response).unwrap();
        prop_assert_eq!(usize::try_from(frame.get_u32()).unwrap(), plain.len());
        prop_assert_eq!(frame.copy_to_bytes(frame.remaining()), plain);
    }
}
