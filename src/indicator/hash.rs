//! File hashes, in lower case.

/// The number of hexadecimal digits of a SHA-256.
pub(crate) const SHA256_DIGITS: usize = 64;
/// The number of hexadecimal digits of a SHA-1.
pub(crate) const SHA1_DIGITS: usize = 40;
/// The number of hexadecimal digits of an MD5.
pub(crate) const MD5_DIGITS: usize = 32;

/// Returns the hash in lower case if it has exactly this many hexadecimal digits.
pub(crate) fn normalize(text: &str, digits: usize) -> Option<String> {
    let well_formed = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then(|| text.to_ascii_lowercase())
}

/// Does the same as [`normalize`] for a hash of any of the three lengths.
pub(crate) fn normalize_any(text: &str) -> Option<String> {
    [SHA256_DIGITS, SHA1_DIGITS, MD5_DIGITS].into_iter().find_map(|digits| normalize(text, digits))
}

#[cfg(test)]
mod tests {
    use super::super::ClaimedType::{Md5, Sha1, Sha256};
    use super::super::RejectReason::Invalid;
    use super::super::tests::check;
    use super::*;

    const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const EMPTY_SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn each_type_has_its_length() {
        check(
            Md5,
            &[
                (EMPTY_MD5, Ok(EMPTY_MD5)),
                (&EMPTY_MD5.to_uppercase(), Ok(EMPTY_MD5)),
                (&format!("\t{EMPTY_MD5} \r\n"), Ok(EMPTY_MD5)),
                (EMPTY_SHA1, Err(Invalid)),
                (EMPTY_SHA256, Err(Invalid)),
            ],
        );
        check(Sha1, &[(EMPTY_SHA1, Ok(EMPTY_SHA1)), (EMPTY_MD5, Err(Invalid))]);
        check(Sha256, &[(EMPTY_SHA256, Ok(EMPTY_SHA256)), (EMPTY_SHA1, Err(Invalid))]);
    }

    #[test]
    fn a_hash_of_zeros_is_accepted() {
        let zeros = "0".repeat(SHA256_DIGITS);
        check(Sha256, &[(&zeros, Ok(&zeros))]);
    }

    #[test]
    fn malformed_hashes_are_rejected() {
        check(
            Md5,
            &[
                ("g41d8cd98f00b204e9800998ecf8427e", Err(Invalid)),
                ("0x1d8cd98f00b204e9800998ecf8427e", Err(Invalid)),
                ("d41d8cd98f00b204 e9800998ecf8427", Err(Invalid)),
                ("d41d8cd98f00b204e9800998ecf8427", Err(Invalid)),
                ("d41d8cd98f00b204e9800998ecf8427ee", Err(Invalid)),
                // Not ASCII: one with 32 characters, one with 32 bytes.
                ("d41d8cd98f00b204e9800998ecf8427é", Err(Invalid)),
                ("d41d8cd98f00b204e9800998ecf842é", Err(Invalid)),
            ],
        );
    }

    #[test]
    fn any_of_the_three_lengths_is_accepted() {
        for hash in [EMPTY_MD5, EMPTY_SHA1, EMPTY_SHA256] {
            assert_eq!(normalize_any(&hash.to_uppercase()).as_deref(), Some(hash));
        }
        assert_eq!(normalize_any(""), None);
        assert_eq!(normalize_any(&"a".repeat(33)), None);
    }
}
