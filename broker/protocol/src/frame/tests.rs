use super::*;
use proptest::prelude::*;

fn refused(first: &[u8]) -> FrameError {
    split_frame(&mut BytesMut::from(first), 1000).unwrap_err()
}

#[test]
fn waits_for_length_and_body() {
    let whole = [0, 0, 0, 3, b'a', b'b', b'c', 0];
    for cut in 0..7 {
        let mut buffer = BytesMut::from(&whole[..cut]);
        assert_eq!(split_frame(&mut buffer, 1000), Ok(None), "{cut} bytes");
        assert_eq!(buffer.len(), cut, "nothing is taken before the frame is whole");
    }
    let mut buffer = BytesMut::from(&whole[..]);
    assert_eq!(split_frame(&mut buffer, 1000), Ok(Some(Bytes::from_static(b"abc"))));
    assert_eq!(buffer.as_ref(), [0], "the next frame stays");
}

#[test]
fn says_what_is_missing() {
    assert_eq!(missing_bytes(&[], 1000), Ok(4));
    assert_eq!(missing_bytes(&[0, 0, 0], 1000), Ok(1));
    assert_eq!(missing_bytes(&[0, 0, 0, 5], 1000), Ok(5));
    assert_eq!(missing_bytes(&[0, 0, 0, 5, 1, 2, 3, 4, 5, 6], 1000), Ok(0));
    assert!(missing_bytes(&[0, 0, 4, 0], 1000).is_err());
}

#[test]
fn the_limit_itself_is_allowed() {
    assert_eq!(split_frame(&mut BytesMut::from(&1000_i32.to_be_bytes()[..]), 1000), Ok(None));
    assert_eq!(refused(&1001_i32.to_be_bytes()), FrameError::TooLarge { length: 1001, limit: 1000 });
}

#[test]
fn refusals_name_length_and_limit() {
    let cases: [(&[u8], &str); 5] = [
        (&1001_i32.to_be_bytes(), "1001"),
        (&(-2_i32).to_be_bytes(), "-2"),
        (&i32::MIN.to_be_bytes(), "-2147483648"),
        (b"GET / HTTP/1.1", "HTTP"),
        (&[0x16, 3, 1, 2, 0], "TLS"),
    ];
    for (first, expected) in cases {
        let message = refused(first).to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("1000"), "{message}");
    }
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        step in 1_usize..30,
    ) {
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend_from_slice(&i32::try_from(body.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(body);
        }
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = split_frame(&mut buffer, 1000).unwrap() {
                seen.push(frame.to_vec());
            }
        }
        prop_assert_eq!(seen, bodies);
        prop_assert!(buffer.is_empty());
    }
}
