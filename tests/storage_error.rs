//! What the text of a storage error means, and how long repeats wait.

use asset_uploads::domain::multipart::Completion;
use asset_uploads::storage_error::{MAX_CALLS, StorageError, StorageErrorKind, backoff_ms};

/// As Cloudflare words them, and as D1's binding hands them on.
#[test]
fn d1_errors_are_classified_by_their_text() {
    let transient = [
        "D1_ERROR: Network connection lost.",
        "Network connection lost.",
        "D1_ERROR: Internal error in D1 DB storage caused object to be reset.",
        "D1_ERROR: D1 DB reset because its code was updated.",
        "D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.",
    ];
    let overloaded = [
        "D1_ERROR: D1 DB is overloaded. Requests queued for too long.",
        "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
        "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
        "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset.",
        "D1_ERROR: D1 DB exceeded its CPU time limit and was reset.",
        "The request timed out",
    ];
    let unexpected = [
        "D1_ERROR: UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
        "D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT",
        "D1_ERROR: no such table: assets at offset 12: SQLITE_ERROR",
        "D1_TYPE_ERROR: Type 'bigint' not supported for value '5'",
        "no binding DB",
        "",
    ];
    for (texts, expected) in [
        (&transient[..], StorageErrorKind::Transient),
        (&overloaded[..], StorageErrorKind::Overloaded),
        (&unexpected[..], StorageErrorKind::Unexpected),
    ] {
        for text in texts {
            assert_eq!(StorageErrorKind::of_d1(text), expected, "{text:?}");
            assert_eq!(StorageErrorKind::of_d1(&format!("D1: {text}")), expected, "{text:?}");
        }
    }
}

/// After any error of R2 the state of the object is unknown; it never counts as missing.
#[test]
fn r2_errors_are_classified_by_their_code() {
    for code in [10_001, 10_043, 10_054, 10_058, 1_002, 100_020, 110_020] {
        let text = format!("head: We encountered an error. ({code})");
        assert_eq!(StorageErrorKind::of_r2(&text), StorageErrorKind::Transient, "{code}");
    }
    for text in ["Network connection lost.", "", "Cannot read properties of undefined"] {
        assert_eq!(StorageErrorKind::of_r2(text), StorageErrorKind::Transient, "{text}");
    }
    for code in [10_002, 10_003, 10_005, 10_006, 10_020, 10_031, 10_037, 10_042, 10_069] {
        assert_eq!(
            StorageErrorKind::of_r2(&format!("head: Something else. ({code})")),
            StorageErrorKind::Overloaded,
            "{code}"
        );
    }
    assert_eq!(StorageErrorKind::of_r2("no binding BUCKET"), StorageErrorKind::Overloaded);
}

#[test]
fn retries_wait_no_longer_than_a_second_and_a_half() {
    assert_eq!(MAX_CALLS, 3);
    let total = |random| (2..=MAX_CALLS).map(|call| backoff_ms(call, random)).sum::<u64>();
    assert_eq!([2, 3].map(|call| backoff_ms(call, u16::MAX)), [500, 1_000]);
    assert_eq!((total(0), total(u16::MAX)), (0, 1_500));
    // Full jitter: proportional to the random number, and so never above the ceiling.
    for random in 0..u16::MAX {
        assert!(backoff_ms(2, random) <= backoff_ms(2, random + 1));
        assert!(backoff_ms(3, random) <= 1_000);
    }
    let half = backoff_ms(2, u16::MAX / 2);
    assert!((249..=250).contains(&half), "{half}");
    for call in [0, 1, 4, 63, 64, u32::MAX] {
        assert!(backoff_ms(call, u16::MAX) <= 1_000, "{call}");
    }
}

/// A repeat changes none of them; what is not known to last may have put the object together.
#[test]
fn a_completion_that_fails_says_why() {
    let completion = |message: &str| {
        let error = StorageError { kind: StorageErrorKind::of_r2(message), message: message.to_owned() };
        (error.kind, error.into_completion().map_err(|error| error.message))
    };
    let text = |code: u32| format!("R2: completeMultipartUpload: There was a problem. ({code})");
    assert_eq!(completion(&text(10_024)), (StorageErrorKind::Overloaded, Ok(Completion::NoSuchUpload)));
    for code in [10_025, 10_011, 10_029, 10_048, 100_100] {
        assert_eq!(
            completion(&text(code)),
            (StorageErrorKind::Overloaded, Ok(Completion::Rejected)),
            "{code}"
        );
    }
    for code in [10_001, 10_043] {
        assert_eq!(completion(&text(code)), (StorageErrorKind::Transient, Err(text(code))), "{code}");
    }
    assert_eq!(completion(&text(10_002)), (StorageErrorKind::Overloaded, Err(text(10_002))));
}
