//! Kafka writes 16-byte ids as 22 characters of URL-safe base64 without padding.

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// 128 bits in digits of 6 bits; the last digit has 4 bits of padding.
const DIGITS: u32 = 22;
const PADDING: u32 = 4;

/// Kafka's text of an id.
pub fn encode(id: Uuid) -> String {
    let value = id.as_u128();
    (0..DIGITS)
        .rev()
        .map(|digit| {
            let shift = digit * 6;
            let bits = match shift.checked_sub(PADDING) {
                Some(shift) => value.checked_shr(shift).unwrap_or(0),
                None => value << PADDING,
            };
            let index = usize::try_from(bits & 63).unwrap_or(0);
            char::from(ALPHABET.get(index).copied().unwrap_or(b'A'))
        })
        .collect()
}

/// An id from Kafka's text.
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let mut value = 0u128;
    for (index, byte) in text.bytes().enumerate() {
        let digit = u128::try_from(ALPHABET.iter().position(|known| *known == byte)?).ok()?;
        value = if index == 21 { (value << 2) | (digit >> PADDING) } else { (value << 6) | digit };
    }
    Some(Uuid::from_u128(value))
}

/// A random id that Kafka would draw too: its text does not begin with a dash, which tools take for an option.
pub fn random() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !encode(id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
