//! Bytes that are nearly right, by seed. Other crates' tests include this file, too.
//!
//! A failure prints the seed. `MILENA_FAULT_SEED=SEED` repeats it, `MILENA_FAULT_CASES=N` runs N fresh ones.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.next().checked_rem(bound as u64).unwrap_or(0) as usize
    }
}

struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case of MILENA_FAULT_SEED={} failed", self.0);
        }
    }
}

/// Runs a case with seeds that are always the same, and with fresh ones.
pub fn cases(fixed: u64, fresh: u64, case: impl Fn(&mut Random)) {
    let told = |seed| {
        let _told = Told(seed);
        case(&mut Random(seed));
    };
    let number = |variable| std::env::var(variable).ok().map(|text: String| text.parse::<u64>().unwrap());
    if let Some(seed) = number("MILENA_FAULT_SEED") {
        return told(seed);
    }
    let cases = number("MILENA_FAULT_CASES");
    if cases.is_none() {
        (0..fixed).for_each(told);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut seeds = Random(now.as_nanos() as u64);
    (0..cases.unwrap_or(fresh)).for_each(|_| told(seeds.next() >> 16));
}

const INTERESTING: [i64; 12] =
    [0, 1, -1, i64::MAX, i64::MIN, 0x7fff_ffff, -0x8000_0000, 0xffff, 127, 128, 61, 1 << 40];

/// The bytes with one to four changes: bits, bytes, numbers of all widths, parts that go, come twice or are swapped.
pub fn mutate(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            bytes.push(random.next() as u8);
        }
        let at = random.below(bytes.len());
        let end = at + random.below((bytes.len() - at).min(40) + 1);
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            6 => bytes[at..end].fill(if random.below(2) == 0 { 0 } else { 0xff }),
            7 => bytes[at] = b"0123456789 -\n:=\0{}[]\"".as_slice()[random.below(21)],
            _ => {
                let number = INTERESTING[random.below(INTERESTING.len())].to_be_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[8 - width..]);
            }
        }
    }
    bytes
}
