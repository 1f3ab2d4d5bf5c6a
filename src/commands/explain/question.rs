//! The question: an indicator in any spelling, or the id of an alert.

use crate::indicator::{ClaimedType, Indicator, RejectReason};
use crate::redact;
use crate::selection::excerpt;

/// The types in the order in which a text is tried.
const CLAIMS: [ClaimedType; 6] = [
    ClaimedType::Sha256,
    ClaimedType::Sha1,
    ClaimedType::Md5,
    ClaimedType::Address,
    ClaimedType::Url,
    ClaimedType::Domain,
];

/// Spellings that keep programs from making a link, and what they mean. The log has some of them.
const DEFANGED: [(&str, &str); 13] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("\\.", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[://]", "://"),
    ("[:]//", "://"),
    ("[:]", ":"),
    ("(:)", ":"),
    ("[/]", "/"),
    ("[@]", "@"),
];

/// A question, as it was asked and as it was understood.
#[derive(Debug)]
pub(super) struct Question {
    /// As it was asked, without surrounding white space. The id of an alert is looked up by it.
    pub text: String,
    /// The text without defanging.
    refanged: String,
    /// The indicator, or why the text is not one that may be sent.
    pub indicator: Result<Indicator, RejectReason>,
}

impl Question {
    pub(super) fn new(text: &str) -> Self {
        let refanged = refang(text);
        let indicator = recognize(&refanged);
        Self { text: text.trim().to_owned(), refanged, indicator }
    }

    /// Returns its beginning for people: without secrets, and without user name and password of a
    /// URL.
    pub(super) fn shown(&self) -> String {
        excerpt(&redact::without_credentials(&self.text))
    }

    /// Returns the texts as which the ledger may have it among the samples of what was left out.
    pub(super) fn sampled_texts(&self) -> Vec<String> {
        let normal = self.indicator.as_ref().ok().map(Indicator::value);
        let texts = [normal, Some(&self.text), Some(&self.refanged)].into_iter().flatten();
        texts.map(|text| excerpt(&redact::without_credentials(text))).collect()
    }
}

/// Returns the text as an indicator of the first type that fits, or why it may not be sent.
fn recognize(text: &str) -> Result<Indicator, RejectReason> {
    let mut reason = RejectReason::Invalid;
    for claim in CLAIMS {
        // A dot at the end may be that of a sentence. In a URL, it may be part of the URL.
        let text = match claim {
            ClaimedType::Url => text,
            _ => text.trim_end_matches('.'),
        };
        match Indicator::parse(claim, text) {
            Ok(indicator) => return Ok(indicator),
            Err(RejectReason::Invalid) => {}
            Err(other) => reason = other,
        }
    }
    Err(reason)
}

/// Returns a text without defanging, quotation marks and white space around it.
fn refang(text: &str) -> String {
    const AROUND: [char; 12] = ['"', '\'', '`', '<', '>', '«', '»', '“', '”', '„', '‘', '’'];
    let text = text.trim_matches(|char: char| char.is_whitespace() || AROUND.contains(&char));
    let mut refanged = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let found = DEFANGED.iter().find(|(defanged, _)| starts_with(rest, defanged));
        let (taken, meant) = found
            .map_or((char.len_utf8(), None), |(defanged, meant)| (defanged.len(), Some(*meant)));
        let (start, end) = rest.split_at(taken);
        refanged.push_str(meant.unwrap_or(start));
        rest = end;
    }
    // An IPv6 address as in a URL, and a hash with its type before it.
    if let Some(address) = refanged.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.to_owned();
    }
    for prefix in ["sha256:", "sha1:", "md5:"] {
        if starts_with(&refanged, prefix) {
            return refanged.split_off(prefix.len()).trim_start().to_owned();
        }
    }
    // hxxp, and also hXXps.
    if starts_with(&refanged, "hxxp") {
        refanged.replace_range(1..3, "tt");
    }
    refanged
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> Result<String, RejectReason> {
        let indicator = Question::new(text).indicator?;
        Ok(format!("{} {}", indicator.kind(), indicator.value()))
    }

    #[test]
    fn defanged_spellings_are_understood() {
        for (text, expected) in [
            ("example.com", "domain example.com"),
            (" WWW.Example[.]COM. ", "domain www.example.com"),
            ("example[dot]com", "domain example.com"),
            ("example(DOT)com", "domain example.com"),
            ("a{.}b{dot}example(.)com", "domain a.b.example.com"),
            ("example\\.com", "domain example.com"),
            ("8[.]8[.]8[.]8", "ip 8.8.8.8"),
            ("8.8.8.8.", "ip 8.8.8.8"),
            ("2606[:]4700[:][:]1111", "ip 2606:4700::1111"),
            ("hxxp://example[.]com/a", "url http://example.com/a"),
            ("hXXps[:]//example.com", "url https://example.com/"),
            ("HXXPS[://]example.com/A", "url https://example.com/A"),
            ("\"hxxp://[2606:4700::1111]/\"", "url http://[2606:4700::1111]/"),
            ("http://me:pw@example.com/", "url http://example.com/"),
            ("<https://example.com/a.>", "url https://example.com/a."),
            ("“AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA”", "hash aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("bücher[.]example", "domain xn--bcher-kva.example"),
            ("[2606[:]4700::1111]", "ip 2606:4700::1111"),
            ("MD5: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hash aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(understood(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_may_not_be_sent_is_understood_as_such() {
        for (text, reason) in [
            ("10[.]1[.]2[.]3", RejectReason::Private),
            ("fd00[:][:]1", RejectReason::Private),
            ("hxxp://wiki[.]corp/", RejectReason::Private),
            ("localhost", RejectReason::Private),
            ("d41d8cd98f00b204e9800998ecf8427e", RejectReason::Meaningless),
            ("", RejectReason::Invalid),
            ("ldt:0123:4567", RejectReason::Invalid),
            ("C:\\x y", RejectReason::Invalid),
            ("\u{1b}[2J", RejectReason::Invalid),
        ] {
            assert_eq!(understood(text), Err(reason), "{text}");
        }
        assert_eq!(understood(&"[.]".repeat(50_000)), Err(RejectReason::Invalid));
    }

    #[test]
    fn samples_are_looked_up_as_they_are_stored() {
        let texts = Question::new(" hxxp://me:pw@wiki[.]corp/ ").sampled_texts();
        assert_eq!(texts, ["hxxp://wiki[.]corp/", "http://wiki.corp/"]);
        let long = format!("http://example.com/{}", "a".repeat(300));
        assert!(Question::new(&long).sampled_texts().iter().all(|text| text.len() == 200));
    }
}
