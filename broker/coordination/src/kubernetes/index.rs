//! Which KafkaTopic object is which topic.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use kube::ResourceExt as _;
use milena_crds::KafkaTopic;
use uuid::Uuid;

/// The KafkaTopics of this cluster, as the watch shows them.
#[derive(Debug, Default)]
pub struct Index {
    objects: HashMap<String, Entry>,
    by_id: HashMap<Uuid, String>,
    by_topic: BTreeSet<(Arc<str>, String)>,
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Topic id.
    pub id: Uuid,
    /// The object's own uid: another one where it adopts the data of a missing topic.
    pub uid: String,
    /// Kafka's name.
    pub topic: Arc<str>,
    /// Counts the changes of the object's spec.
    generation: Option<i64>,
}

/// What an object's change means.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whether the topic is new or its spec has changed; a change of status alone is none.
    pub changed: bool,
    /// The topic that the object was before.
    pub former: Option<Uuid>,
}

impl Index {
    /// An object that is new or changed.
    pub fn apply(&mut self, object: &KafkaTopic) -> Difference {
        let name = object.name_any();
        let Some(id) = object.topic_id() else {
            return Difference { changed: false, former: self.remove(&name) };
        };
        let topic = Arc::from(object.topic_name());
        let uid = object.uid().unwrap_or_default();
        let entry = Entry { id, uid, topic, generation: object.metadata.generation };
        if self.objects.get(&name) == Some(&entry) {
            return Difference { changed: false, former: None };
        }
        let former = self.remove(&name).filter(|former| *former != id);
        self.by_id.insert(id, name.clone());
        self.by_topic.insert((entry.topic.clone(), name.clone()));
        self.objects.insert(name, entry);
        Difference { changed: true, former }
    }

    /// An object that is gone; answers the topic that it was.
    pub fn remove(&mut self, name: &str) -> Option<Uuid> {
        let entry = self.objects.remove(name)?;
        self.by_topic.remove(&(entry.topic, name.to_owned()));
        if self.by_id.get(&entry.id).is_some_and(|object| object == name) {
            self.by_id.remove(&entry.id);
        }
        Some(entry.id)
    }

    /// The object of the topic of that id, and its name.
    pub fn by_id(&self, id: Uuid) -> Option<(String, Entry)> {
        let name = self.by_id.get(&id)?;
        Some((name.clone(), self.objects.get(name)?.clone()))
    }

    /// An object that claims a topic's name.
    pub fn claims(&self, topic: &str) -> Option<&str> {
        let from = (Arc::from(topic), String::new());
        self.by_topic
            .range(from..)
            .next()
            .filter(|(name, _)| **name == *topic)
            .map(|(_, object)| object.as_str())
    }
}

#[cfg(test)]
mod tests {
    use milena_crds::{KafkaTopicSpec, names};

    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "66666666-2222-3333-4444-555555555555";

    fn object(name: &str, topic: Option<&str>, uid: &str, generation: i64) -> KafkaTopic {
        let spec = KafkaTopicSpec {
            cluster: "demo".into(),
            topic_name: topic.map(str::to_owned),
            partitions: 1,
            replicas: 1,
            config: Default::default(),
        };
        let mut object = KafkaTopic::new(name, spec);
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.generation = Some(generation);
        object
    }

    fn id(text: &str) -> Uuid {
        Uuid::parse_str(text).unwrap()
    }

    #[test]
    fn a_change_of_status_alone_is_none() {
        let mut index = Index::default();
        assert!(index.apply(&object("a", None, ID, 1)).changed);
        assert!(!index.apply(&object("a", None, ID, 1)).changed);
        assert!(index.apply(&object("a", None, ID, 2)).changed);
    }

    #[test]
    fn an_object_made_anew_is_another_topic() {
        let mut index = Index::default();
        index.apply(&object("a", None, ID, 1));
        let difference = index.apply(&object("a", None, OTHER, 1));
        assert_eq!(difference, Difference { changed: true, former: Some(id(ID)) });
        assert!(index.by_id(id(ID)).is_none());
        assert_eq!(index.by_id(id(OTHER)).unwrap().0, "a");
    }

    #[test]
    fn objects_are_found_by_the_topic_that_they_claim() {
        let mut index = Index::default();
        index.apply(&object("orders--12345678", Some("Orders"), ID, 1));
        index.apply(&object("ordersz", None, OTHER, 1));
        assert_eq!(index.claims("Orders"), Some("orders--12345678"));
        assert_eq!(index.claims("Order"), None);
        assert_eq!(index.remove("orders--12345678"), Some(id(ID)));
        assert_eq!(index.claims("Orders"), None);
        assert_eq!(index.remove("orders--12345678"), None);
    }

    #[test]
    fn an_object_that_adopts_keeps_its_own_uid() {
        let mut index = Index::default();
        let mut adopting = object("a", None, OTHER, 1);
        adopting.annotations_mut().insert(names::TOPIC_ID.to_owned(), ID.to_owned());
        index.apply(&adopting);
        assert_eq!(index.by_id(id(ID)).unwrap().1.uid, OTHER);
        // An annotation that is no id says nothing of which topic it is.
        adopting.annotations_mut().insert(names::TOPIC_ID.to_owned(), "x".to_owned());
        assert_eq!(index.apply(&adopting), Difference { changed: false, former: Some(id(ID)) });
    }
}
