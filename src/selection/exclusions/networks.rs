//! A set of networks that finds the network of an address without comparing it with each.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

/// Networks without bits after the prefix.
#[derive(Clone, Default)]
pub(super) struct Networks {
    all: HashSet<IpNet>,
    /// The prefix lengths that occur: one lookup each.
    ipv4_lengths: BTreeSet<u8>,
    ipv6_lengths: BTreeSet<u8>,
}

impl Networks {
    /// Adds a network, and returns whether it is new.
    pub(super) fn insert(&mut self, network: IpNet) -> bool {
        let lengths = match network {
            IpNet::V4(_) => &mut self.ipv4_lengths,
            IpNet::V6(_) => &mut self.ipv6_lengths,
        };
        lengths.insert(network.prefix_len());
        self.all.insert(network.trunc())
    }

    /// Whether one of the networks contains the address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let lengths = match address {
            IpAddr::V4(_) => &self.ipv4_lengths,
            IpAddr::V6(_) => &self.ipv6_lengths,
        };
        lengths.iter().any(|length| {
            IpNet::new(address, *length).is_ok_and(|network| self.all.contains(&network.trunc()))
        })
    }

    /// Returns the number of different networks.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Addresses that share prefixes of any length, of both families.
    fn address() -> impl Strategy<Value = IpAddr> {
        let near = |bits: u32| prop_oneof![Just(0), 0..4_u32, (0..bits).prop_map(|bit| 1 << bit)];
        prop_oneof![
            near(32).prop_map(|bits| IpAddr::from((0x0A00_0000 ^ bits).to_be_bytes())),
            (near(32), 0..4_u32).prop_map(|(bits, word)| {
                let bits = u128::from(bits) << (word * 32);
                IpAddr::from(((0x2606 << 112) ^ bits).to_be_bytes())
            }),
            any::<IpAddr>(),
        ]
    }

    fn network() -> impl Strategy<Value = IpNet> {
        (address(), 0..=128_u8).prop_map(|(address, length)| {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, length.min(longest)).unwrap().trunc()
        })
    }

    proptest! {
        #[test]
        fn an_address_is_found_as_by_comparing_it_with_each_network(
            networks in vec(network(), 0..20),
            addresses in vec(address(), 1..50),
        ) {
            let mut set = Networks::default();
            let different: HashSet<IpNet> = networks.iter().copied().collect();
            for network in networks {
                set.insert(network);
            }
            prop_assert_eq!(set.len(), different.len());
            for address in addresses {
                let expected = different.iter().any(|network| network.contains(&address));
                prop_assert_eq!(set.contains(address), expected, "{}", address);
            }
        }
    }
}
