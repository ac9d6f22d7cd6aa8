/// The partition of `__consumer_offsets` that a group belongs to, of `partitions` in all.
///
/// Kafka's rule: the hash code that Java gives the string, which counts in UTF-16 units, made non-negative,
/// modulo the number of partitions. Without partitions the answer is 0.
#[must_use]
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash =
        group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The one value whose absolute value is no i32 becomes 0, as in Kafka.
    hash.checked_abs().unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn follows_javas_string_hash() {
        // hashCode(): "" 0, "a" 97, "test" 3556498, "console-consumer-12345" -1436043340 as Java gives them.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 47);
        assert_eq!(partition_for("test", 50), 3_556_498 % 50);
        // A pair of surrogates counts as two units: "😀" is 0xD83D, 0xDE00.
        assert_eq!(partition_for("😀", 50), (0xD83D * 31 + 0xDE00) % 50);
        // The hash of this string is i32::MIN.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("any", 0), 0);
    }
}
