//! Elections that Kafka clients ask for: written into the KafkaTopic's annotation, held and taken away by the operator.

use kafka_protocol::ResponseError;
use milena_crds::{
    KafkaTopic,
    elections::{self, MAX_WISHES, Wish},
    names,
};
use serde_json::json;
use uuid::Uuid;

use super::topics::{Merge, Topics};
use crate::Refusal;

impl Topics {
    /// Asks the operator for elections in a topic, beside those that it is asked for already.
    ///
    /// # Errors
    /// POLICY_VIOLATION where it is asked for too many, else as [`Topics::create`].
    pub async fn elect(&self, id: Uuid, wishes: &[Wish]) -> Result<(), Refusal> {
        self.change(id, |topic| {
            let all = with_those_before(topic, wishes);
            if all.len() > MAX_WISHES {
                let message =
                    format!("{} elections are asked for in one topic; {MAX_WISHES} can be", all.len());
                return Err(Refusal::new(ResponseError::PolicyViolation, message));
            }
            Ok(Some(Merge::Annotations(json!({ names::ELECT_LEADERS: elections::text(&all) }))))
        })
        .await
    }
}

/// These elections, and those of other partitions that nobody has held yet.
fn with_those_before(topic: &KafkaTopic, wishes: &[Wish]) -> Vec<Wish> {
    let annotations = topic.metadata.annotations.as_ref();
    let before = annotations.and_then(|all| elections::parse(all.get(names::ELECT_LEADERS)?).ok());
    let asked: std::collections::HashSet<i32> = wishes.iter().map(|wish| wish.partition).collect();
    let others = before.into_iter().flatten().filter(|wish| !asked.contains(&wish.partition));
    wishes.iter().copied().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use milena_crds::KafkaTopicSpec;

    use super::*;

    #[test]
    fn what_others_have_asked_for_stays() {
        let spec = KafkaTopicSpec {
            cluster: "demo".to_owned(),
            topic_name: None,
            partitions: 3,
            replicas: 1,
            config: Default::default(),
        };
        let mut topic = KafkaTopic::new("t", spec);
        let wishes = elections::parse("unclean:1@4").unwrap();
        assert_eq!(with_those_before(&topic, &wishes), wishes);
        let before = [(names::ELECT_LEADERS.to_owned(), "preferred:1@3,preferred:2@3".to_owned())];
        topic.metadata.annotations = Some(before.into());
        assert_eq!(elections::text(&with_those_before(&topic, &wishes)), "unclean:1@4,preferred:2@3");
    }
}
