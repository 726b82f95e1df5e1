//! Times as clients and the database see them.

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::http::reply::Reply;
use serde_json::json;

#[test]
fn times_are_rfc_3339_with_milliseconds() {
    for (ms, expected) in [
        (1_795_351_867_042, Some("2026-11-22T12:51:07.042Z")),
        (0, Some("1970-01-01T00:00:00.000Z")),
        (-1, Some("1969-12-31T23:59:59.999Z")),
        (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
        (253_402_300_799_999, Some("9999-12-31T23:59:59.999Z")),
        (253_402_300_800_000, None),
        (-62_167_219_200_000, Some("0000-01-01T00:00:00.000Z")),
        (-62_167_219_200_001, None),
        (i64::MAX, None),
        (i64::MIN, None),
    ] {
        let time = Timestamp(ms);
        assert_eq!(time.to_rfc3339().as_deref(), expected, "{ms}");
        assert_eq!(serde_json::to_value(time).ok(), expected.map(|text| json!(text)), "{ms}");
        // As D1 returns it.
        assert_eq!(serde_json::from_str::<Timestamp>(&ms.to_string()).unwrap(), time);
    }
    assert!(serde_json::from_str::<Timestamp>("5.5").is_err());
    let failure = Reply::json(201, &Timestamp(i64::MAX)).unwrap_err();
    assert_eq!((failure.code().status(), failure.code().as_str()), (500, "INTERNAL_ERROR"));
}
