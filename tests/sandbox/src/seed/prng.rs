//! A small pseudo-random number generator (SplitMix64), whose output is the same on every platform.

/// The generator.
#[derive(Debug, Clone)]
pub(super) struct Prng(u64);

impl Prng {
    pub(super) fn new(seed: u64, index: u64, purpose: u64) -> Self {
        let mut mixed = Self(
            seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ index.wrapping_mul(0xE703_7ED1_A0B4_28DB),
        );
        mixed.0 = mixed.next() ^ purpose.wrapping_mul(0x8EBC_6AF0_9C88_C6E3);
        mixed.next();
        mixed
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `end` (0 for an end of 0).
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// Returns true with the probability `share` (0 to 1).
    pub(super) fn chance(&mut self, share: f64) -> bool {
        (self.below(1_000_000) as f64) < share * 1e6
    }

    /// Returns one of the choices.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    /// Returns one of the choices; the first field is the weight.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let mut left = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        choices[choices.len() - 1].1
    }

    /// Returns this many hex digits in lower case.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    /// Returns this many characters of Base64.
    pub(super) fn base64(&mut self, characters: usize) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |random: &mut Self| char::from(DIGITS[usize::from(random.next() as u8 & 63)]);
        (0..characters).map(|_| digit(self)).collect()
    }

    /// Returns hex digits in the groups of a UUID.
    pub(super) fn uuid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|digits| self.hex(digits)).join("-")
    }
}

/// The invented values for a number: the same for the same number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample(pub(super) u64);

impl Sample {
    /// Returns a hash of this many hex digits.
    pub(super) fn hash(self, digits: usize) -> String {
        Prng::new(0x00C0_FFEE, self.0, digits as u64).hex(digits)
    }

    pub(super) fn domain(self) -> String {
        let top =
            ["example.com", "example.net", "example.org"][usize::try_from(self.0 % 3).unwrap_or(0)];
        format!("host-{:x}.{top}", self.0)
    }

    /// Returns an address in 1.0.0.0/8.
    pub(super) fn ipv4(self) -> String {
        let n = self.0 & 0x00FF_FFFF;
        format!("1.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255)
    }

    /// Returns an address in 2a00::/16.
    pub(super) fn ipv6(self) -> String {
        format!("2a00:{:x}:{:x}::1", 0x1000 + (self.0 >> 16) % 0xe000, 1 + self.0 % 0xffff)
    }

    pub(super) fn private_ipv4(self) -> String {
        format!("10.{}.{}.{}", (self.0 >> 16) & 255, (self.0 >> 8) & 255, self.0 & 255)
    }
}
