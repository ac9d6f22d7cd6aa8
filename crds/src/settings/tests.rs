use super::*;

fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, ConfigValue> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), ConfigValue::from(*value))).collect()
}

#[test]
fn tables_are_sorted_and_explain_themselves() {
    for table in [TOPIC_SETTINGS, BROKER_SETTINGS] {
        assert!(table.is_sorted_by(|a, b| a.name < b.name));
        for setting in table {
            assert!(setting.doc.ends_with('.'), "{}", setting.name);
        }
    }
    assert_eq!(TOPIC_SETTINGS.len(), 33, "Kafka 4.3 has 33 settings of topics");
}

#[test]
fn every_default_passes_its_own_check() {
    for setting in TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS) {
        if let Some(default) = setting.default {
            assert_eq!(setting.check(default), Ok(()), "{}", setting.name);
        }
    }
}

#[test]
fn topic_defaults_are_those_of_their_synonyms() {
    for setting in TOPIC_SETTINGS {
        for synonym in setting.synonyms {
            let broker = broker_setting(synonym.name);
            assert!(broker.is_some(), "{} has no broker setting {}", setting.name, synonym.name);
        }
        let nothing = BTreeMap::new();
        let first_default = synonyms(setting, &nothing, &nothing).into_iter().next();
        if let Some(first) = first_default {
            assert_eq!(Some(first.value.as_ref()), setting.default, "{}", setting.name);
        }
    }
}

#[test]
fn refused_settings_are_not_in_the_table() {
    for setting in BROKER_SETTINGS {
        assert!(refused::refusal(setting.name).is_none(), "{}", setting.name);
    }
}

/// Setting, value, message.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "retention.ms",
        "abc",
        "Invalid value abc for configuration retention.ms: Not a number of type LONG; allowed: at least -1",
    ),
    (
        "retention.ms",
        "-2",
        "Invalid value -2 for configuration retention.ms: Value must be at least -1; allowed: at least -1",
    ),
    (
        "segment.bytes",
        "1024",
        "Invalid value 1024 for configuration segment.bytes: Value must be at least 1048576; allowed: at least 1048576, at most 2147483647",
    ),
    (
        "max.message.bytes",
        "2147483648",
        "Invalid value 2147483648 for configuration max.message.bytes: allowed: at least 0, at most 2147483647",
    ),
    (
        "preallocate",
        "yes",
        "Invalid value yes for configuration preallocate: Expected value to be either true or false",
    ),
    (
        "compression.type",
        "brotli",
        "Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
    ),
    (
        "cleanup.policy",
        "delete,drop",
        "Invalid value delete,drop for configuration cleanup.policy: drop is not known; allowed: any of compact, delete, with commas between them",
    ),
    (
        "cleanup.policy",
        "delete,delete",
        "Invalid value delete,delete for configuration cleanup.policy: delete is there twice; allowed: any of compact, delete, with commas between them",
    ),
    (
        "compression.gzip.level",
        "0",
        "Invalid value 0 for configuration compression.gzip.level: allowed: -1 to 9, not 0",
    ),
    (
        "min.cleanable.dirty.ratio",
        "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: allowed: 0 to 1",
    ),
    (
        "min.cleanable.dirty.ratio",
        "NaN",
        "Invalid value NaN for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE; allowed: 0 to 1",
    ),
    (
        "remote.storage.enable",
        "true",
        "Invalid value true for configuration remote.storage.enable: there is no tiered storage; leave it out or set it to false",
    ),
    ("retention.m", "1", "Unknown topic config name: retention.m; did you mean retention.ms?"),
    (
        "log.retention.ms",
        "1",
        "Unknown topic config name: log.retention.ms: it is a setting of brokers (KafkaCluster, spec.config)",
    ),
    ("no.such.thing.at.all", "1", "Unknown topic config name: no.such.thing.at.all"),
];

#[test]
fn wrong_values_are_named_with_what_is_allowed() {
    for (name, value, message) in WRONG {
        assert_eq!(check_topic(name, value).unwrap_err().to_string(), *message);
    }
    let message = check_broker("zookeeper.connect", "x").unwrap_err().to_string();
    assert_eq!(
        message,
        "Unknown broker config name: zookeeper.connect: there is no ZooKeeper here; leave it out"
    );
}

#[test]
fn right_values_are_taken_as_kafka_reads_them() {
    let cases = [
        ("retention.ms", " 1000 "),
        ("retention.ms", "+5"),
        ("retention.bytes", "-1"),
        ("preallocate", "TRUE"),
        ("cleanup.policy", "compact , delete"),
        ("cleanup.policy", ""),
        ("compression.zstd.level", "-131072"),
        ("follower.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1,1:2"),
        ("remote.storage.enable", "False"),
        ("min.cleanable.dirty.ratio", "5e-1"),
    ];
    for (name, value) in cases {
        assert_eq!(check_topic(name, value), Ok(()), "{name}={value}");
    }
}

#[test]
fn hostile_text_is_cut_in_messages() {
    let long = "é".repeat(MAX_VALUE);
    for message in
        [check_topic("retention.ms", &long), check_topic(&long, "1")].map(|e| e.unwrap_err().to_string())
    {
        assert!(message.len() < 400, "{message}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let wrong = config(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")]);
    assert!(matches!(check_topic_config(&wrong), Err(SettingError::Conflict(_))));
}

#[test]
fn a_topic_inherits_from_the_first_broker_setting() {
    let retention = topic_setting("retention.ms").unwrap();
    let nothing = BTreeMap::new();
    let broker = config(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]);
    let topic = config(&[("retention.ms", "7")]);
    let values: Vec<_> =
        synonyms(retention, &topic, &broker).into_iter().map(|e| (e.name, e.value.into_owned())).collect();
    let expected = [
        ("retention.ms", "7"),
        ("log.retention.minutes", "180000"),
        ("log.retention.hours", "7200000"),
        ("log.retention.hours", "604800000"),
    ];
    assert_eq!(values, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(effective(retention, &nothing, &broker).value, "180000");
    assert_eq!(effective(retention, &nothing, &nothing).source, Source::Default);
    let forever = config(&[("log.retention.hours", "-1")]);
    assert_eq!(effective(retention, &nothing, &forever).value, "-1");
}
