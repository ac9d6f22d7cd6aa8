//! Whether an object has to be applied: the decision that makes a converged cluster write nothing. Pure.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use milena_crds::names;
use serde_json::{Value, json};

use crate::hash::fnv1a;

/// What is known of the last apply of one object by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Hash of what was sent.
    pub sent: u64,
    /// Hash of what the API server made of it, defaults and fields of others included.
    pub got: u64,
}

/// Why an object has to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not there.
    Absent,
    /// What is wanted has changed.
    Wanted,
    /// Somebody else has changed it.
    Edited,
}

/// Whether `desired`, whose hash is `sent`, has to be applied over `live`. `None`: there is nothing to do.
///
/// Whoever adds fields that the operator has no opinion on keeps them: an apply leaves them alone, so once it was
/// done the result counts as right, whatever it is.
pub fn decide(
    desired: &DynamicObject,
    sent: u64,
    live: Option<&DynamicObject>,
    last: Option<Applied>,
) -> Option<Reason> {
    let Some(live) = live else { return Some(Reason::Absent) };
    let known = last.filter(|last| last.sent == sent);
    if live.annotations().get(names::APPLIED) != Some(&text(sent)) {
        // The annotation was changed by somebody if this process sent just that.
        return Some(if known.is_some() { Reason::Edited } else { Reason::Wanted });
    }
    let right = match known {
        Some(last) => last.got == fingerprint(live),
        None => covers(live, desired),
    };
    (!right).then_some(Reason::Edited)
}

/// The hash of what is sent.
pub fn hash(desired: &DynamicObject) -> u64 {
    content(desired, |_| true)
}

/// A hash as it stands in the annotation.
pub fn text(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The hash of everything in a live object that an apply could change: not its status, nor its bookkeeping, nor
/// annotations, in which other controllers keep notes.
pub fn fingerprint(live: &DynamicObject) -> u64 {
    content(live, |field| field != "status")
        ^ fnv1a(live.annotations().get(names::APPLIED).map_or(b"", |text| text.as_bytes()))
}

fn content(object: &DynamicObject, counts: impl Fn(&str) -> bool) -> u64 {
    let fields = object.data.as_object().into_iter().flatten();
    let data: BTreeMap<&String, &Value> = fields.filter(|(name, _)| counts(name)).collect();
    let owners: Vec<&String> = object.owner_references().iter().map(|owner| &owner.uid).collect();
    fnv1a(json!({ "data": data, "labels": object.labels(), "owners": owners }).to_string().as_bytes())
}

/// Whether `live` has everything that `desired` says. Lists must be as long: an entry too many in a list of rights is
/// a difference.
fn covers(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let owner = |wanted: &str| live.owner_references().iter().any(|owner| owner.uid == wanted);
    desired.labels().iter().all(|(key, value)| live.labels().get(key) == Some(value))
        && desired.owner_references().iter().all(|wanted| owner(&wanted.uid))
        && contains(&live.data, &desired.data)
}

fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired
            .iter()
            .all(|(name, value)| value.is_null() || live.get(name).is_some_and(|live| contains(live, value))),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(live, desired)| contains(live, desired))
        }
        (live, desired) => live == desired,
    }
}
