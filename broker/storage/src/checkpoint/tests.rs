use super::*;

fn number(line: &str) -> Option<u32> {
    line.parse().ok()
}

#[test]
fn what_is_written_is_read() {
    let bytes = format([7, 8].iter().map(u32::to_string));
    assert_eq!(bytes, b"0\n2\n7\n8\n");
    assert_eq!(parse(&bytes, number), Ok(vec![7, 8]));
    assert_eq!(parse(b"", number), Ok(vec![]));
    assert_eq!(parse(b"0\n", number), Ok(vec![]));
}

#[test]
fn malformed_files_are_refused() {
    for bad in ["1\n0\n", "0\nx\n", "0\n1\n", "0\n1\n7\n8\n", "0\n1\nseven\n", "\u{1}"] {
        assert!(parse(bad.as_bytes(), number).is_err(), "{bad:?}");
    }
    assert!(parse(b"0\n1\n\xff\n", number).is_err());
}
