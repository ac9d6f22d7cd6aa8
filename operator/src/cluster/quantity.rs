//! Kubernetes quantities as numbers of bytes, to compare sizes of volumes.

/// The bytes that `text` names, rounded up: `10Gi`, `1.5Ti`, `500M`, `1e9`. `None` if it is no quantity.
pub fn bytes(text: &str) -> Option<u128> {
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // As a whole number over a power of ten: 1.5 is 15 over 10.
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let below = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (times, over) = scale(suffix)?;
    Some(digits.checked_mul(times)?.div_ceil(below.checked_mul(over)?))
}

/// What a suffix multiplies and divides by.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    let binary = |power: u32| Some((1024u128.checked_pow(power)?, 1));
    let decimal = |power: u32| Some((10u128.checked_pow(power)?, 1));
    match suffix {
        "" => Some((1, 1)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => decimal(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, expected) in [
            ("10Gi", Some(10 << 30)),
            ("10240Mi", Some(10 << 30)),
            ("1.5Ki", Some(1536)),
            ("500M", Some(500_000_000)),
            ("1e9", Some(1_000_000_000)),
            ("1E3", Some(1000)),
            ("1500m", Some(2)),
            (".5Ki", Some(512)),
            ("0", Some(0)),
            ("", None),
            (".", None),
            ("Gi", None),
            ("10Zi", None),
            ("1e99", None),
            ("99999999999999999999999999999999Ei", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
