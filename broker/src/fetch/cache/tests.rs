use super::*;
use crate::partitions::Reach;

const MINUTES_3: i64 = 180_000;

fn cache(sessions: usize, partitions: usize) -> SessionCache {
    SessionCache::new(CacheLimits { sessions, partitions }, Counter::default())
}

fn session(size: i32) -> Session {
    use crate::fetch::{TopicKey, Wanted};
    let mut session = Session::new(Reach::HighWatermark);
    let wanted =
        Wanted { offset: 0, max_bytes: 1, leader_epoch: -1, last_fetched_epoch: -1, log_start_offset: -1 };
    for index in 0..size {
        session.push(TopicKey::Name("t".into()), index, wanted);
    }
    session
}

fn admit(cache: &SessionCache, size: i32, worth: Worth, now_ms: i64) -> i32 {
    cache.admit(session(size), &View::default(), false, worth, now_ms)
}

#[test]
fn as_many_sessions_as_there_are_slots() {
    let cache = cache(10, 1_000);
    let ids: Vec<i32> = (0..10).map(|_| admit(&cache, 5, Worth::Consumer, 0)).collect();
    assert!(ids.iter().all(|id| *id > 0 && cache.get(*id).is_some()));
    assert_eq!(admit(&cache, 500, Worth::Consumer, 1), 0, "all others are young");
    assert_eq!(cache.size(), (10, 50));
    cache.remove(ids[3]);
    assert_eq!(cache.size(), (9, 45));
    assert!(admit(&cache, 5, Worth::Consumer, 1) > 0);
    assert_eq!(admit(&super::tests::cache(0, 10), 1, Worth::Consumer, 0), 0, "no slots");
}

#[test]
fn partitions_of_all_sessions_are_limited() {
    let cache = cache(10, 100);
    let id = admit(&cache, 60, Worth::Consumer, 0);
    assert_eq!(admit(&cache, 60, Worth::Consumer, 0), 0);
    assert!(admit(&cache, 40, Worth::Consumer, 0) > 0);
    let kept = cache.get(id).unwrap();
    assert!(cache.touch(&kept, 60, 1));
    assert!(!cache.touch(&kept, 61, 1), "grown beyond the limit: ended");
    assert!(cache.get(id).is_none());
    assert_eq!(cache.size(), (1, 40));
    assert!(!cache.touch(&kept, 1, 2), "it stays ended");
    assert_eq!(cache.size(), (1, 40));
}

#[test]
fn who_has_to_go() {
    let (young, old) = (MINUTES_3, 0);
    let now = MINUTES_3 + 1;
    let age = |worth, size, id, created_ms, used_ms| Age { worth, size, id, created_ms, used_ms };
    use Worth::{Consumer, Follower};
    let cases = [
        (
            "unused for long",
            vec![age(Follower, 99, 7, old, old), age(Consumer, 1, 8, old, now)],
            Consumer,
            1,
            Some(7),
        ),
        ("young and in use", vec![age(Consumer, 1, 7, young, now)], Consumer, 99, None),
        ("old, in use, smaller", vec![age(Consumer, 1, 7, old, now)], Consumer, 2, Some(7)),
        ("old, in use, as large", vec![age(Consumer, 2, 7, old, now)], Consumer, 2, None),
        ("a follower takes a young consumer's", vec![age(Consumer, 99, 7, young, now)], Follower, 1, Some(7)),
        ("a follower spares a young follower's", vec![age(Follower, 1, 7, young, now)], Follower, 99, None),
        ("a consumer spares a follower's", vec![age(Follower, 1, 7, old, now)], Consumer, 99, None),
        (
            "the smallest of the least worth",
            vec![age(Follower, 1, 7, old, now), age(Consumer, 9, 8, old, now), age(Consumer, 3, 9, old, now)],
            Consumer,
            50,
            Some(9),
        ),
    ];
    for (what, ages, worth, size, gone) in cases {
        assert_eq!(evictable(&ages, worth, size, now), gone, "{what}");
    }
}

#[test]
fn epochs_go_round_without_the_special_ones() {
    assert_eq!(next_epoch(0), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn who_makes_room_is_counted() {
    let evictions = Counter::default();
    let cache = SessionCache::new(CacheLimits { sessions: 1, partitions: 100 }, evictions.clone());
    let consumer = admit(&cache, 5, Worth::Consumer, 0);
    assert_eq!(admit(&cache, 500, Worth::Consumer, 0), 0, "too many partitions: nobody goes for it");
    assert_eq!(evictions.get(), 0);
    assert!(admit(&cache, 5, Worth::Follower, 1) > 0);
    assert!(cache.get(consumer).is_none());
    assert_eq!((evictions.get(), cache.size()), (1, (1, 5)));
}
