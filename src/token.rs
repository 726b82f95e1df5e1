//! API keys: `au_`, 43 base62 characters of 256 random bits, 6 base62 characters of the CRC-32 (IEEE) of
//! the 46 ASCII bytes before them. Base62 is `0-9A-Za-z`, most significant digit first, zero-padded.
//! The checksum lets a mistyped key be told without asking the database.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use sha2::{Digest, Sha256};

use crate::hex::hex;

const PREFIX: &str = "au_";
const LENGTH: usize = 52;
/// Where the checksum begins.
const CHECKED: usize = 46;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a well-formed key, 64 lower-case hexadecimal digits: all that is ever stored of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash(String);

impl TokenHash {
    /// What is stored in `api_keys.token_hash`; `None` where that is no hash.
    pub fn from_stored(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// As stored in `api_keys.token_hash`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of the key in an `Authorization` header: `Bearer <key>`, the scheme in any case.
    /// `None` when the header is absent or holds no well-formed key.
    pub fn from_authorization(header: Option<&str>) -> Option<Self> {
        let (scheme, token) = header?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Self::of(token.trim_start_matches(' '))
    }

    /// The hash of a key; `None` when its prefix, length, characters or checksum are wrong.
    pub fn of(token: &str) -> Option<Self> {
        let random = token.strip_prefix(PREFIX)?;
        if token.len() != LENGTH || !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (checked, checksum) = token.split_at_checked(CHECKED)?;
        if checksum != checksum_of(checked) {
            return None;
        }
        Some(Self(hex(&Sha256::digest(token.as_bytes()))))
    }
}

/// Makes the key that holds these 256 random bits.
pub fn generate(random: &[u8; 32]) -> String {
    let checked = format!("{PREFIX}{}", base62(random, CHECKED - PREFIX.len()));
    let checksum = checksum_of(&checked);
    checked + &checksum
}

fn checksum_of(checked: &str) -> String {
    const CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    base62(&CRC32.checksum(checked.as_bytes()).to_be_bytes(), LENGTH - CHECKED)
}

/// A big-endian number in `width` base62 digits: long division by 62, a digit a round.
fn base62(number: &[u8], width: usize) -> String {
    let mut number = number.to_vec();
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or_default();
            remainder = value % 62;
        }
        digits.push(DIGITS.get(remainder).copied().unwrap_or(b'0'));
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}
