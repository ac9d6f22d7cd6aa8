//! Objects as YAML, by way of JSON, which is how they reach an API server too: what reads and writes each kind from and
//! to JSON is in the program anyhow, and the same for YAML would make it half a megabyte larger.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// An object as YAML.
///
/// # Errors
/// It cannot be written as JSON.
pub fn write(object: &impl Serialize) -> Result<String, String> {
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    serde_yaml::to_string(&value).map_err(|error| error.to_string())
}

/// An object from YAML.
///
/// # Errors
/// What does not fit.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    object(&value)
}

/// An object from what YAML was read as.
///
/// # Errors
/// What does not fit.
pub fn object<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_str(&value.to_string()).map_err(|error| {
        let message = error.to_string();
        // Its place in the JSON helps nobody.
        message.rsplit_once(" at line ").map_or(message.clone(), |(what, _)| what.to_owned())
    })
}

/// The field that keeps [`object`] from reading an object: the one without which it would say something else.
pub fn obstacle<T: DeserializeOwned>(value: &Value, message: &str) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    loop {
        let pointer: String = path.iter().map(|key| format!("/{}", escaped(key))).collect();
        let keys = value.pointer(&pointer).and_then(Value::as_object).map(|fields| fields.keys().cloned());
        let obstacle = keys.into_iter().flatten().find(|key| {
            let mut without = value.clone();
            if let Some(fields) = without.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                fields.remove(key);
            }
            object::<T>(&without).err().as_deref() != Some(message)
        });
        match obstacle {
            Some(key) => path.push(key),
            None => return path,
        }
    }
}

/// A key as RFC 6901 has it in a pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
