"""What `kubectl apply` refuses: what is never valid."""
import pytest
from harness.kube import Refused, cluster, topic

BAD_TOPICS = [
    ("a name that is none", topic("bad", topicName="sp ace"), "topicName"),
    ("a dot", topic("bad", topicName=".."), "topicName"),
    ("too long a name", topic("bad", topicName="x" * 250), "249"),
    ("no partitions", topic("bad", partitions=0), "partitions"),
    ("replicas", topic("bad", replicas=65), "64"),
    ("an unknown setting", topic("bad", config={"retention": 1}), "retention"),
    ("a malformed setting", topic("bad", config={"retention.ms": "soon"}), "retention.ms"),
    ("a value out of bounds", topic("bad", config={"cleanup.policy": "keep"}), "cleanup.policy"),
    ("an unknown field", topic("bad", partitons=3), "partitons"),
]


@pytest.mark.parametrize("what, wrong, says", BAD_TOPICS, ids=[one[0] for one in BAD_TOPICS])
def test_topics(operator, space, what, wrong, says):
    with pytest.raises(Refused) as refused:
        space.apply(wrong)
    assert says in str(refused.value)


CHANGES = [
    ("fewer partitions", {"partitions": 1}, "partitions"),
    ("another cluster", {"cluster": "other"}, "cluster"),
    ("another topic", {"topicName": "other"}, "topicName"),
]


def test_changes_of_topics(operator, space):
    space.apply(topic("good", partitions=3))
    for what, change, says in CHANGES:
        with pytest.raises(Refused) as refused:
            space.patch("kafkatopic", "good", {"spec": change})
        assert says in str(refused.value), what


def test_clusters(operator, space):
    for wrong, says in (
        (cluster("bad", 1001), "brokers"),
        (cluster("bad", 1, config={"num.partitions": "many"}), "num.partitions"),
        (cluster("bad", 1, config={"no.such.setting": 1}), "no.such.setting"),
    ):
        with pytest.raises(Refused) as refused:
            space.apply(wrong)
        assert says in str(refused.value)
    space.apply(cluster("good", 0, "2Gi"))
    with pytest.raises(Refused) as refused:
        space.patch("kafkacluster", "good", {"spec": {"storage": {"size": "1Gi"}}})
    assert "shrink" in str(refused.value)
