//! `meta.properties`: the broker and cluster that a data directory belongs to.

use std::path::Path;

use uuid::Uuid;

use super::{Owner, properties};
use crate::{
    error::StorageError,
    fs::{Durability, read_small, write_atomic},
    ids,
};

const FILE_NAME: &str = "meta.properties";

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) cluster_id: String,
    pub(super) node_id: i32,
    pub(super) directory_id: Uuid,
}

impl Meta {
    pub(super) fn load_or_create(dir: &Path, owner: Owner<'_>) -> Result<Meta, StorageError> {
        match Meta::load(dir)? {
            Some(meta) => meta.check(dir, owner),
            None => {
                let cluster_id = owner.cluster_id.map_or_else(|| ids::encode(ids::random()), str::to_owned);
                let meta = Meta { cluster_id, node_id: owner.node_id, directory_id: ids::random() };
                meta.store(dir)?;
                Ok(meta)
            }
        }
    }

    pub(super) fn load(dir: &Path) -> Result<Option<Meta>, StorageError> {
        let path = dir.join(FILE_NAME);
        let Some(bytes) = read_small(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let bad = |reason: String| StorageError::BadFile { path: path.clone(), reason };
        let field = |key: &str| properties::get(&text, key).ok_or_else(|| bad(format!("{key} is missing")));
        match field("version")? {
            "1" => {}
            version => return Err(bad(format!("version is {version}, not 1"))),
        }
        let node_id = field("node.id")?;
        let directory_id = field("directory.id")?;
        Ok(Some(Meta {
            cluster_id: field("cluster.id")?.to_owned(),
            node_id: node_id.parse().map_err(|_| bad(format!("node.id is {node_id}, not a number")))?,
            directory_id: ids::decode(directory_id)
                .ok_or_else(|| bad(format!("directory.id is {directory_id}, not a Kafka id")))?,
        }))
    }

    fn check(self, dir: &Path, owner: Owner<'_>) -> Result<Meta, StorageError> {
        let wrong = |what, stored: String, given: String| StorageError::WrongOwner {
            path: dir.to_path_buf(),
            what,
            stored,
            given,
        };
        if self.node_id != owner.node_id {
            return Err(wrong("broker", self.node_id.to_string(), owner.node_id.to_string()));
        }
        match owner.cluster_id {
            Some(given) if given != self.cluster_id => {
                Err(wrong("cluster", self.cluster_id, given.to_owned()))
            }
            _ => Ok(self),
        }
    }

    fn store(&self, dir: &Path) -> Result<(), StorageError> {
        let content = properties::format(&[
            ("version", "1"),
            ("cluster.id", &self.cluster_id),
            ("node.id", &self.node_id.to_string()),
            ("directory.id", &ids::encode(self.directory_id)),
        ]);
        write_atomic(&dir.join(FILE_NAME), &content, Durability::Machine)
    }
}
