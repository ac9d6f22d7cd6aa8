use super::*;

#[test]
fn kafkas_text_of_known_ids() {
    // org.apache.kafka.common.Uuid of (1, 2), and of its METADATA_TOPIC_ID (0, 1).
    assert_eq!(encode(Uuid::from_u64_pair(1, 2)), "AAAAAAAAAAEAAAAAAAAAAg");
    assert_eq!(encode(Uuid::from_u64_pair(0, 1)), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(encode(Uuid::from_u128(u128::MAX)), "_____________________w");
}

#[test]
fn ids_go_there_and_back() {
    for _ in 0..100 {
        let id = random();
        let text = encode(id);
        assert_eq!(text.len(), 22);
        assert!(!text.starts_with('-'));
        assert_eq!(decode(&text), Some(id));
    }
    assert_eq!(decode("too short"), None);
    assert_eq!(decode("AAAAAAAAAAEAAAAAAAAAA="), None);
}
