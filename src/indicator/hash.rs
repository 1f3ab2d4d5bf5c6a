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

/// The MD5, SHA-1 and SHA-256 of no content, and of one line break.
const OF_NOTHING: [&str; 6] = [
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "68b329da9893e34099c7d8ad5cb9c940",
    "adc83b19e793491b1c6ea0fd8b46cd9f32e592fc",
    "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
];

/// Whether a normalized hash is of no file in particular. All zeros and all `f` are placeholders,
/// for example for a SHA-1 that was not computed.
pub(crate) fn is_meaningless(hash: &str) -> bool {
    OF_NOTHING.contains(&hash)
        || ['0', 'f'].iter().any(|digit| hash.chars().all(|char| char == *digit))
}

#[cfg(test)]
mod tests {
    use super::super::ClaimedType::{Md5, Sha1, Sha256};
    use super::super::RejectReason::{Invalid, Meaningless};
    use super::super::tests::check;
    use super::*;

    const SOME_MD5: &str = "d41d8cd98f00b204e9800998ecf84270";
    const SOME_SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80700";
    const SOME_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b850";

    #[test]
    fn each_type_has_its_length() {
        check(
            Md5,
            &[
                (SOME_MD5, Ok(SOME_MD5)),
                (&SOME_MD5.to_uppercase(), Ok(SOME_MD5)),
                (&format!("\t{SOME_MD5} \r\n"), Ok(SOME_MD5)),
                (SOME_SHA1, Err(Invalid)),
                (SOME_SHA256, Err(Invalid)),
            ],
        );
        check(Sha1, &[(SOME_SHA1, Ok(SOME_SHA1)), (SOME_MD5, Err(Invalid))]);
        check(Sha256, &[(SOME_SHA256, Ok(SOME_SHA256)), (SOME_SHA1, Err(Invalid))]);
    }

    #[test]
    fn hashes_that_say_nothing_are_rejected() {
        let claims = [(Md5, MD5_DIGITS), (Sha1, SHA1_DIGITS), (Sha256, SHA256_DIGITS)];
        for (claim, digits) in claims {
            for hash in OF_NOTHING.iter().filter(|hash| hash.len() == digits) {
                check(claim, &[(hash, Err(Meaningless)), (&hash.to_uppercase(), Err(Meaningless))]);
            }
            for digit in ["0", "f", "F"] {
                check(claim, &[(&digit.repeat(digits), Err(Meaningless))]);
            }
            let one = "1".repeat(digits);
            check(claim, &[(&one, Ok(&one))]);
        }
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
        for hash in [SOME_MD5, SOME_SHA1, SOME_SHA256] {
            assert_eq!(normalize_any(&hash.to_uppercase()).as_deref(), Some(hash));
        }
        assert_eq!(normalize_any(""), None);
        assert_eq!(normalize_any(&"a".repeat(33)), None);
    }
}
