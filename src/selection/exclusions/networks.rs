//! Networks with their lines: finds the network of an address without comparing it with each.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

/// Networks without bits after the prefix.
#[derive(Clone, Default)]
pub(super) struct Networks {
    all: HashMap<IpNet, u32>,
    /// The prefix lengths that occur: one lookup each.
    ipv4_lengths: BTreeSet<u8>,
    ipv6_lengths: BTreeSet<u8>,
}

impl Networks {
    /// Adds a network with its line, unless it is known, and returns the first line that has it.
    pub(super) fn insert(&mut self, network: IpNet, line: u32) -> &mut u32 {
        let lengths = match network {
            IpNet::V4(_) => &mut self.ipv4_lengths,
            IpNet::V6(_) => &mut self.ipv6_lengths,
        };
        lengths.insert(network.prefix_len());
        self.all.entry(network.trunc()).or_insert(line)
    }

    /// Returns the smallest network that contains the address, with its line.
    pub(super) fn find(&self, address: IpAddr) -> Option<(IpNet, u32)> {
        let lengths = match address {
            IpAddr::V4(_) => &self.ipv4_lengths,
            IpAddr::V6(_) => &self.ipv6_lengths,
        };
        lengths.iter().rev().find_map(|length| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            Some((network, *self.all.get(&network)?))
        })
    }

    /// Returns the networks with their lines, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, u32)> {
        self.all.iter().map(|(network, line)| (*network, *line))
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
            let mut different: HashMap<IpNet, u32> = HashMap::new();
            for (network, line) in networks.into_iter().zip(1..) {
                set.insert(network, line);
                different.entry(network).or_insert(line);
            }
            prop_assert_eq!(set.len(), different.len());
            prop_assert_eq!(set.iter().collect::<HashMap<_, _>>(), different.clone());
            for address in addresses {
                let containing = different.iter().filter(|(network, _)| network.contains(&address));
                let smallest = containing.max_by_key(|(network, _)| network.prefix_len());
                let expected = smallest.map(|(network, line)| (*network, *line));
                prop_assert_eq!(set.find(address), expected, "{}", address);
            }
        }
    }
}
