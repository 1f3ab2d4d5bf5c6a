//! IP addresses, and which of them are globally reachable.
//!
//! The tables follow the IANA special-purpose address registries (RFC 6890, RFC 8190).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

#[cfg(test)]
mod tests;

const SPECIAL_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),       // RFC 791: this network
    v4([10, 0, 0, 0], 8),      // RFC 1918: private use
    v4([100, 64, 0, 0], 10),   // RFC 6598: shared by a provider and its customers
    v4([127, 0, 0, 0], 8),     // RFC 1122: loopback
    v4([169, 254, 0, 0], 16),  // RFC 3927: link-local
    v4([172, 16, 0, 0], 12),   // RFC 1918: private use
    v4([192, 0, 0, 0], 24),    // RFC 6890: protocol assignments
    v4([192, 0, 2, 0], 24),    // RFC 5737: documentation
    v4([192, 88, 99, 0], 24),  // RFC 7526: 6to4 relays, deprecated
    v4([192, 168, 0, 0], 16),  // RFC 1918: private use
    v4([198, 18, 0, 0], 15),   // RFC 2544: benchmarks
    v4([198, 51, 100, 0], 24), // RFC 5737: documentation
    v4([203, 0, 113, 0], 24),  // RFC 5737: documentation
    v4([224, 0, 0, 0], 4),     // RFC 5771: multicast
    v4([240, 0, 0, 0], 4),     // RFC 1112: reserved, and RFC 8190: broadcast
];

const GLOBAL_WITHIN_SPECIAL_V4: [Ipv4Net; 2] = [
    v4([192, 0, 0, 9], 32),  // RFC 7723: Port Control Protocol anycast
    v4([192, 0, 0, 10], 32), // RFC 8155: TURN anycast
];

/// RFC 4291: the part of IPv6 from which global unicast addresses are assigned. Unique local (RFC
/// 4193), link-local and multicast addresses are outside it; so is [`NAT64`], which is checked on
/// its own.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const SPECIAL_V6: [Ipv6Net; 3] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // RFC 2928: protocol assignments, including Teredo
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // RFC 3849: documentation
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // RFC 9637: documentation
];

const GLOBAL_WITHIN_SPECIAL_V6: [Ipv6Net; 7] = [
    v6([0x2001, 1, 0, 0, 0, 0, 0, 1], 128), // RFC 7723: Port Control Protocol anycast
    v6([0x2001, 1, 0, 0, 0, 0, 0, 2], 128), // RFC 8155: TURN anycast
    v6([0x2001, 1, 0, 0, 0, 0, 0, 3], 128), // RFC 9665: service registration anycast
    v6([0x2001, 3, 0, 0, 0, 0, 0, 0], 32),  // RFC 7450: automatic multicast tunnelling
    v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48), // RFC 7535: AS112
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), // RFC 7343: ORCHIDv2
    v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), // RFC 9374: drone remote identification
];

/// RFC 3056. Bits 16 to 47 are the IPv4 address of the site's router.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
/// RFC 6052. The last 32 bits are the IPv4 address.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Parses an address. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) becomes IPv4; zones, ports
/// and brackets are not accepted.
pub(crate) fn normalize(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Returns whether an address is globally reachable, and not multicast.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let within = |nets: &[Ipv4Net]| nets.iter().any(|net| net.contains(&address));
    !within(&SPECIAL_V4) || within(&GLOBAL_WITHIN_SPECIAL_V4)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    if SIX_TO_FOUR.contains(&address) {
        let [_, _, a, b, c, d, ..] = address.octets();
        return is_global_v4(Ipv4Addr::new(a, b, c, d));
    }
    if NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return is_global_v4(Ipv4Addr::new(a, b, c, d));
    }
    let within = |nets: &[Ipv6Net]| nets.iter().any(|net| net.contains(&address));
    GLOBAL_V6.contains(&address) && (!within(&SPECIAL_V6) || within(&GLOBAL_WITHIN_SPECIAL_V6))
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}
