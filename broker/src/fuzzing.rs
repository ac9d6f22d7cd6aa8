//! Decoders that are private otherwise, for the fuzz targets of `tests/fuzz`.

use std::path::Path;

use bytes::Bytes;
use milena_crds::partition::{Generation, Member};
use milena_protocol::{FramePiece, Records};

use crate::{
    coordination::{
        embedded::kafka::quorum,
        kubernetes::memory::{Home, Memory},
    },
    replication::wire::{self, Told},
};

/// What another broker says: the first byte tells what it is taken for. What is understood is written as it came.
///
/// # Panics
/// It is not: that is a fault of this crate.
pub fn exchange(input: &[u8]) {
    let Some((kind, frame)) = input.split_first() else { return };
    let frame = Bytes::copy_from_slice(frame);
    match kind % 4 {
        0 => {
            if let Ok(hello) = wire::Hello::decode(frame.clone()) {
                assert!(wire::is_exchange(&frame), "a hello that is none");
                assert!(frame.starts_with(&hello.encode()), "a hello is written otherwise than read");
            }
        }
        1 => drop(wire::decode_welcome(frame)),
        2 => {
            let member = Member { broker: 1, generation: Generation::default() };
            if let Ok(asks) = wire::decode_asks(frame.clone(), member) {
                let mut written = wire::Asks::default();
                asks.iter().for_each(|(slot, ask)| written.push(*slot, ask));
                assert!(asks.is_empty() || frame.starts_with(&written.take()), "asks are written otherwise");
            }
        }
        _ => {
            if let Ok(told) = wire::decode_answers(frame.clone()) {
                let written = written(told);
                assert!(written.is_empty() || frame.starts_with(&written), "answers are written otherwise");
            }
        }
    }
}

/// The frame of these answers without its length; nothing where they are too long for one.
fn written(all: Vec<Told<Bytes>>) -> Vec<u8> {
    let placed = all.into_iter().map(|Told { slot, leader_epoch, offset, answer, records }| {
        let records = Records::Memory(records);
        Told { slot, leader_epoch, offset, answer, records }
    });
    let Ok(mut frame) = wire::encode_answers(placed.collect()) else { return Vec::new() };
    let mut bytes = Vec::new();
    while let Some(FramePiece::Memory(piece)) = frame.pop_piece() {
        bytes.extend_from_slice(&piece);
    }
    bytes.split_off(bytes.len().min(4))
}

/// A frame of each kind that [`exchange`] takes.
pub fn exchange_examples() -> Vec<Vec<u8>> {
    let hello = [&[0, 0x4d, 0x49, 0, 1][..], &[0; 16]].concat();
    let ask = [&[2, 0, 0, 0, 2, 0, 0, 0, 1, 1][..], &[1; 36], &[0, 0, 0, 2, 2]].concat();
    let told = |kind: u8, rest: &[u8]| [&[3, 0, 0, 0, 1][..], &[1; 16], &[kind], rest].concat();
    let records = [&[0; 16][..], &[0, 0, 0, 2, b'a', b'b']].concat();
    let welcome = [&[1][..], &wire::encode_welcome(3)].concat();
    vec![hello, welcome, ask, told(0, &[]), told(1, &[1; 12]), told(2, &[1; 8]), told(3, &records)]
}

/// Reads the log of Kafka's metadata quorum in a folder.
pub fn quorum(folder: &Path) {
    let _ = quorum::position(folder);
    let _ = quorum::read(folder);
}

/// Reads a file of what a broker remembers of the cluster, and goes on from that.
pub fn remembered(file: &Path) {
    let generation = Generation { disk: 1, unclean_starts: 0 };
    if let Ok(mut memory) = Memory::open(vec![Home::file(file.to_path_buf())], 1, generation) {
        if let Some(image) = memory.resume() {
            memory.remember(&image);
        }
        memory.remember_epoch(9);
    }
}
