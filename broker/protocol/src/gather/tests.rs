use std::io::IoSlice;
use std::sync::Arc;

use bytes::BufMut;

use super::*;

fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn written(frame: &ResponseFrame, part: usize) -> Vec<u8> {
    let mut frame = frame.clone();
    let mut written = Vec::new();
    while !frame.is_empty() {
        if let Some(range) = frame.file() {
            let count = part.min(range.len());
            // What a file holds is told by its position alone.
            let position = usize::try_from(range.position()).unwrap();
            written.extend((position..position + count).map(|at| u8::try_from(at % 251).unwrap()));
            frame.advance(count);
            continue;
        }
        let mut slices = [IoSlice::new(&[]); 2];
        let (filled, _) = frame.slices(&mut slices);
        let ready: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = part.min(ready.len());
        written.extend_from_slice(&ready[..count]);
        frame.advance(count);
    }
    written
}

#[test]
fn pieces_follow_each_other_however_little_is_written_at_once() {
    let file = Arc::new(tempfile::tempfile().unwrap());
    let mut frame = FrameWriter::default();
    let (few, many) = (pattern(SHARE_THRESHOLD - 1), pattern(SHARE_THRESHOLD));
    frame.tail().put_u16(1);
    frame.put_memory(few.clone());
    frame.put_memory(many.clone());
    frame.put_file(FileRange::new(file.clone(), 77, 5_000, &Arc::default(), 0));
    frame.put_file(FileRange::new(file, 0, 0, &Arc::default(), 0));
    frame.tail().put_u8(9);
    let frame = frame.into_frame().unwrap();
    assert_eq!(frame.memory(), 4 + 2 + few.len() + many.len() + 1);
    let mut expected = Vec::new();
    let length = 2 + few.len() + many.len() + 5_000 + 1;
    expected.put_u32(u32::try_from(length).unwrap());
    expected.put_u16(1);
    expected.extend_from_slice(&few);
    expected.extend_from_slice(&many);
    expected.extend((77..5_077).map(|at| u8::try_from(at % 251).unwrap()));
    expected.put_u8(9);
    for part in [1, 3, 5, 6, 1_000, usize::MAX] {
        assert_eq!(written(&frame, part), expected, "{part} bytes at a time");
    }
}

#[test]
fn many_bytes_are_referred_to() {
    let (few, many) = (pattern(SHARE_THRESHOLD - 1), pattern(SHARE_THRESHOLD));
    let mut frame = FrameWriter::default();
    frame.put_memory(few);
    frame.put_memory(many.clone());
    let mut frame = frame.into_frame().unwrap();
    frame.pop_piece();
    let Some(FramePiece::Memory(second)) = frame.pop_piece() else { panic!("two pieces") };
    assert_eq!(second.as_ptr(), many.as_ptr(), "not a copy");
    assert!(frame.is_empty());
}

#[test]
fn a_range_knows_when_its_file_has_changed() {
    let changes = Arc::default();
    let file = Arc::new(tempfile::tempfile().unwrap());
    let range = FileRange::new(file, 0, 1, &changes, 0);
    assert!(range.is_current());
    changes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    assert!(!range.is_current());
}
