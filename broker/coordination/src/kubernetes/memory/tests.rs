mod copies;

use std::{fs, io::Write as _, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{cluster::BrokerInfo, mutate};

const GENERATION: Generation = Generation { disk: 10, unclean_starts: 0 };
const LOST: Generation = Generation { disk: 10, unclean_starts: 1 };

fn state(leader_epoch: i32, partition_epoch: i32) -> PartitionState {
    let text = format!(
        "replicas=0 leader=0 leaderEpoch={leader_epoch} partitionEpoch={partition_epoch} isr=0.0000000a-0 elr="
    );
    text.parse().unwrap()
}

fn topic(number: u128, name: &str, partitions: &[Option<PartitionState>]) -> Arc<Topic> {
    Arc::new(Topic {
        id: Uuid::from_u128(number),
        name: Arc::from(name),
        config: [("retention.ms".to_owned(), "5".into())].into(),
        replicas: 1,
        partitions: partitions.to_vec(),
    })
}

fn image(topics: &[Arc<Topic>]) -> ClusterImage {
    let mut image = ClusterImage { cluster_id: Arc::from("cluster"), ..ClusterImage::default() };
    image.settings = Arc::new([("num.partitions".to_owned(), "3".into())].into());
    let broker = BrokerInfo {
        host: Some(Arc::from("host")),
        port: 9092,
        rack: None,
        pod_ip: None,
        alive: true,
        offline: Arc::default(),
    };
    image.brokers.insert(0, broker);
    for topic in topics {
        image.put_topic(topic.clone());
    }
    image
}

fn open(dir: &TempDir) -> Memory {
    at(dir.path().join("memory")).unwrap()
}

fn at(path: PathBuf) -> Result<Memory, FileError> {
    Memory::open(vec![Home::file(path)], 0, GENERATION)
}

#[test]
fn a_new_life_knows_what_the_last_one_saw() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    assert!(memory.resume().is_none());
    memory.remember_epoch(7);
    let first = image(&[topic(1, "a", &[Some(state(1, 1))]), topic(2, "b", &[Some(state(1, 1)), None])]);
    memory.remember(&first);
    let second = image(&[topic(1, "a", &[Some(state(2, 2))]), topic(3, "c", &[])]);
    assert_eq!(memory.remember(&second).topics, second.topics);

    let again = open(&dir);
    assert_eq!(again.broker_epoch(), 7);
    let known = again.resume().unwrap();
    assert!(known.from_memory);
    assert_eq!(known.topics, second.topics);
    assert_eq!((&known.brokers, &known.settings), (&second.brokers, &second.settings));
    assert_eq!(known.cluster_id, second.cluster_id);
}

#[test]
fn a_log_that_may_have_lost_records_resumes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    memory.remember_epoch(7);
    memory.remember(&image(&[topic(1, "a", &[Some(state(4, 4))])]));
    let mut again = Memory::open(vec![Home::file(dir.path().join("memory"))], 0, LOST).unwrap();
    assert!(again.resume().is_none());
    assert_eq!(again.broker_epoch(), 7);
    // What it knows of epochs still holds.
    let shown = again.remember(&image(&[topic(1, "a", &[Some(state(3, 9))])]));
    assert_eq!(shown.topic("a").unwrap().partitions, [None]);
}

#[test]
fn an_older_state_is_not_acted_on_until_a_newer_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    memory.remember(&image(&[topic(1, "a", &[Some(state(5, 8)), Some(state(1, 1))])]));
    let restored = image(&[topic(1, "a", &[Some(state(4, 6)), Some(state(1, 2))])]);
    for _ in 0..2 {
        let shown = memory.remember(&restored);
        assert_eq!(shown.topic("a").unwrap().partitions, [None, Some(state(1, 2))]);
        // Across lives, too; what is remembered is the newest.
        memory = open(&dir);
        let known = memory.resume().unwrap();
        assert_eq!(known.topic("a").unwrap().partitions, [Some(state(5, 8)), Some(state(1, 2))]);
    }
    let put_back = image(&[topic(1, "a", &[Some(state(6, 9)), Some(state(1, 2))])]);
    assert_eq!(memory.remember(&put_back).topics, put_back.topics);
}

#[test]
fn what_is_older_is_told_until_a_newer_state_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    let id = Uuid::from_u128(1);
    let key = PartitionKey { topic_id: id, partition: 0 };
    memory.remember(&image(&[topic(1, "a", &[Some(state(5, 8)), Some(state(1, 1))])]));
    assert!(memory.older().is_empty());
    // A higher leader epoch alone is no sign of a newer state: somebody went on from an older one.
    for (leader_epoch, partition_epoch) in [(5, 7), (6, 7), (6, 8), (4, 9)] {
        let shown =
            memory.remember(&image(&[topic(1, "a", &[Some(state(leader_epoch, partition_epoch)), None])]));
        assert_eq!((shown.older, memory.older()), (1, Offline::named([key].into())));
    }
    // While it is held there is nothing to be shown, and nothing is forgotten.
    let shown = memory.remember(&image(&[topic(1, "a", &[None, None])]));
    assert_eq!((shown.older, shown.topic("a").unwrap().partition(0)), (1, None));
    assert_eq!(memory.shared().load().state(&key), Some(&state(5, 8)));
    let shown = memory.remember(&image(&[topic(1, "a", &[Some(state(6, 9)), Some(state(1, 2))])]));
    assert!(shown.older == 0 && memory.older().is_empty());
    memory.remember(&image(&[topic(1, "a", &[Some(state(1, 1)), None])]));
    memory.remember(&image(&[]));
    assert!(memory.older().is_empty(), "the topic is gone");
}

#[test]
fn what_a_backup_lacks_is_remembered_until_its_deletion_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    let id = Uuid::from_u128(1);
    let of = |memory: &Memory, partition| {
        memory.shared().load().state(&PartitionKey { topic_id: id, partition }).cloned()
    };
    memory.remember(&image(&[topic(1, "a", &[Some(state(5, 8)), Some(state(2, 2))])]));
    // A partition that was added since.
    let shown = memory.remember(&image(&[topic(1, "a", &[Some(state(5, 8))])]));
    assert_eq!(shown.topic("a").unwrap().partition_count(), 1);
    assert_eq!((of(&memory, 1), shown.older), (Some(state(2, 2)), 0));
    // The topic itself.
    for _ in 0..2 {
        assert!(memory.remember(&image(&[])).topic("a").is_none());
        assert_eq!((of(&memory, 0), of(&memory, 1)), (Some(state(5, 8)), Some(state(2, 2))));
        memory = open(&dir);
        assert!(memory.resume().unwrap().topic("a").is_none(), "clients do not see it");
    }
    let shown = memory.remember(&image(&[topic(1, "a", &[Some(state(0, 0))])]));
    assert_eq!((shown.topic("a").unwrap().partition(0), shown.older), (None, 1));
    memory.remember(&image(&[]));
    let same = image(&[topic(1, "a", &[Some(state(5, 8)), Some(state(2, 2))])]);
    assert_eq!(memory.remember(&same).topics, same.topics);
    memory = open(&dir);
    assert_eq!(memory.resume().unwrap().topics, same.topics, "it is there again");
    let mut deleted = image(&[]);
    deleted.deleted.insert(id);
    memory.remember(&deleted);
    assert_eq!(of(&memory, 0), None);
}

#[test]
fn a_topic_made_anew_under_an_old_name_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    memory.remember(&image(&[topic(1, "a", &[Some(state(5, 8))])]));
    let anew = image(&[topic(2, "a", &[Some(state(0, 0))])]);
    assert_eq!(memory.remember(&anew).topics, anew.topics);
    assert_eq!(open(&dir).resume().unwrap().topics, anew.topics);
}

#[test]
fn the_file_stays_in_proportion_to_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    for epoch in 0..600 {
        memory.remember(&image(&[topic(1, "a", &[Some(state(epoch, epoch))])]));
    }
    let length = fs::metadata(dir.path().join("memory")).unwrap().len();
    assert!(length < 80_000, "{length}");
    assert_eq!(open(&dir).resume().unwrap().topic("a").unwrap().partitions, [Some(state(599, 599))]);
}

/// A topic of another broker.
fn elsewhere(number: u128, name: &str, leader_epoch: i32) -> Arc<Topic> {
    let text = format!(
        "replicas=9 leader=9 leaderEpoch={leader_epoch} partitionEpoch={leader_epoch} isr=9.0000000a-0 elr="
    );
    topic(number, name, &[Some(text.parse().unwrap())])
}

#[test]
fn what_cannot_be_written_is_not_acted_on_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone").join("memory");
    let mut memory = at(path.clone()).unwrap();
    let seen = image(&[topic(1, "a", &[Some(state(1, 1))]), elsewhere(2, "b", 1)]);
    let shown = memory.remember(&seen);
    assert_eq!(shown.topic("a").unwrap().partitions, [None], "nothing is remembered of it");
    assert_eq!(shown.topic("b"), seen.topic("b"), "what others have is shown");
    assert!(memory.behind().load(Ordering::Acquire));
    // As soon as it can be, everything is written.
    fs::create_dir(dir.path().join("gone")).unwrap();
    memory.remember_epoch(3);
    assert!(memory.behind().load(Ordering::Acquire), "the picture is still missing");
    assert_eq!(memory.remember(&seen).topics, seen.topics);
    assert!(!memory.behind().load(Ordering::Acquire));
    let again = at(path).unwrap();
    assert_eq!((again.broker_epoch(), &again.resume().unwrap().topics), (3, &seen.topics));
}

#[test]
fn a_file_that_fails_holds_this_brokers_partitions_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = open(&dir);
    let first = image(&[topic(1, "a", &[Some(state(1, 1)), Some(state(5, 5))]), elsewhere(2, "b", 1)]);
    memory.remember(&first);
    // The file takes nothing more, and no other can be put in its place.
    memory.copies.let_writes_fail(0);
    fs::create_dir(dir.path().join("memory.new")).unwrap();
    let second = image(&[
        topic(1, "a", &[Some(state(2, 2)), Some(state(5, 5))]),
        elsewhere(2, "b", 2),
        topic(3, "c", &[Some(state(0, 0))]),
    ]);
    for _ in 0..2 {
        let shown = memory.remember(&second);
        assert_eq!(shown.topic("a").unwrap().partitions, [Some(state(1, 1)), Some(state(5, 5))]);
        assert_eq!(shown.topic("c").unwrap().partitions, [None]);
        assert_eq!(shown.topic("b"), second.topic("b"));
        assert!(memory.behind().load(Ordering::Acquire));
    }
    assert!(memory.remember(&image(&[])).topics.is_empty(), "what is gone makes room");
    // What is on the disk is what was acted on.
    assert_eq!(open(&dir).resume().unwrap().topics, first.topics);
    fs::remove_dir(dir.path().join("memory.new")).unwrap();
    assert_eq!(memory.remember(&second).topics, second.topics);
    assert!(!memory.behind().load(Ordering::Acquire));
    assert_eq!(open(&dir).resume().unwrap().topics, second.topics);
}

#[test]
fn another_format_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory");
    let json = r#"{"version":2,"generation":"0000000a-0"}"#;
    fs::write(&path, format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
    let error = at(path).err().unwrap();
    assert!(error.to_string().contains("format 2"), "{error}");
}

/// A file that is nearly right: it is read as far as it is right, or refused by name, and can be written again.
#[test]
fn a_file_that_is_nearly_right_is_read_as_far_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory");
    let mut memory = open(&dir);
    memory.remember_epoch(7);
    let seen = image(&[topic(1, "a", &[Some(state(1, 1)), None]), topic(2, "b", &[Some(state(3, 4))])]);
    memory.remember(&seen);
    let whole = fs::read(&path).unwrap();
    mutate::cases(300, 300, |random| {
        let mut bytes = mutate::mutate(random, &whole);
        if random.below(2) == 0 {
            // With checksums that are right.
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.len() > 9);
            let checked = lines.flat_map(|line| {
                let json = &line[9..];
                [format!("{:08x} ", crc32fast::hash(json)).into_bytes(), json.to_vec(), b"\n".to_vec()]
                    .concat()
            });
            bytes = checked.collect();
        }
        fs::write(&path, &bytes).unwrap();
        match at(path.clone()) {
            Ok(mut memory) => {
                let _ = memory.resume();
                memory.remember(&seen);
                let again = open(&dir).resume().unwrap();
                assert_eq!(again.topics.len(), 2);
            }
            Err(error) => assert!(error.to_string().contains(path.to_str().unwrap()), "{error}"),
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a crash leaves of the end of the file, what was there before it is found again.
    #[test]
    fn a_damaged_end_costs_the_end_alone(cut in 0usize..200, junk in proptest::collection::vec(any::<u8>(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        let mut memory = open(&dir);
        let first = image(&[topic(1, "a", &[Some(state(1, 1))])]);
        memory.remember(&first);
        let whole = fs::metadata(&path).unwrap().len();
        let second = image(&[topic(1, "a", &[Some(state(2, 2))])]);
        memory.remember(&second);
        let length = fs::metadata(&path).unwrap().len();
        // The last record is the write's number; what was written is before it.
        let content = fs::read(&path).unwrap();
        let number = content.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let stated = u64::try_from(number).unwrap();
        let cut = length.saturating_sub(u64::try_from(cut).unwrap()).max(whole);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.set_len(cut).unwrap();
        file.write_all(&junk).unwrap();
        let known = open(&dir).resume().unwrap();
        prop_assert!(known.topics == first.topics || known.topics == second.topics);
        prop_assert!(cut >= stated || !junk.is_empty() || known.topics == first.topics);
        prop_assert!(cut < stated || known.topics == second.topics);
    }
}
