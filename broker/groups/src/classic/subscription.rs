use std::collections::BTreeSet;

/// The topics that a consumer's metadata names: a 16-bit version, then a list of topic names, with which every
/// version of `ConsumerProtocolSubscription` begins. Nothing if the metadata is something else.
pub(super) fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut topics = BTreeSet::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, after) = after.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(topic).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn reads_the_topics_and_ignores_what_follows() {
        let metadata = [0, 3, 0, 0, 0, 2, 0, 1, b'b', 0, 2, b'a', b'a', 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(topics(&metadata).unwrap().into_iter().collect::<Vec<_>>(), ["aa", "b"]);
        assert_eq!(topics(&[0, 0, 0, 0, 0, 0]).unwrap().len(), 0);
    }

    #[test]
    fn gives_up_on_anything_else() {
        assert_eq!(topics(&[]), None);
        assert_eq!(topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(topics(&[0, 0, 0, 0, 0, 1, 0xff, 0xff]), None);
        assert_eq!(topics(&[0, 0, 0, 0, 0, 1, 0, 2, 0xc3, 0x28]), None);
    }
}
