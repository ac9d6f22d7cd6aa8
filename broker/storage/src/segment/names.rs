//! Names of the files of a log.

/// `base_offset` in 20 digits, a dot and the suffix.
pub(crate) fn file_name(base_offset: i64, suffix: &str) -> String {
    format!("{base_offset:020}.{suffix}")
}

/// A file of a log's directory, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    /// `.log`
    Log(i64),
    /// `.index`, `.timeindex` or `.txnindex`
    Index(i64),
    /// `.snapshot`, named by the offset that it was taken at
    Snapshot(i64),
    /// `.deleted`, `.cleaned` or `.tmp`: left over from something that was interrupted
    Garbage,
    /// `.log.swap`: a cleaned segment whose sources may be gone
    Swap(i64),
    /// Another file
    Other,
}

/// What a file is.
pub(crate) fn parse_file_name(name: &str) -> SegmentFile {
    if [".deleted", ".cleaned", ".tmp"].iter().any(|suffix| name.ends_with(suffix)) {
        return SegmentFile::Garbage;
    }
    let Some((digits, suffix)) = name.split_once('.') else { return SegmentFile::Other };
    let Some(offset) = (digits.len() == 20).then(|| digits.parse::<i64>().ok()).flatten() else {
        return SegmentFile::Other;
    };
    match suffix {
        "log" => SegmentFile::Log(offset),
        "log.swap" => SegmentFile::Swap(offset),
        "index" | "timeindex" | "txnindex" => SegmentFile::Index(offset),
        "snapshot" => SegmentFile::Snapshot(offset),
        _ => SegmentFile::Other,
    }
}
