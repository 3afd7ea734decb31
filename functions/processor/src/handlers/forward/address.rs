//! Which addresses nothing is sent to.
//!
//! Whoever may write a route could otherwise have this function call what only it can
//! reach: the instance's metadata, services of the network that it stands in, itself.
//! So all is refused that is not globally reachable by IANA's registries; where they
//! leave a doubt (addresses that embed others, anycast of the IETF's own), it is
//! refused too, since no webhook's endpoint lives there.
//!
//! - <https://www.iana.org/assignments/iana-ipv4-special-registry>, as of 2025-10-09
//! - <https://www.iana.org/assignments/iana-ipv6-special-registry>, as of 2025-10-09
//! - <https://www.iana.org/assignments/ipv6-address-space>: only `2000::/3` is assigned
//!   to anybody, so what lies outside is refused whatever it may become

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// Blocks that are refused, and what they are for. The first that holds an address
/// names it.
const REFUSED: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private use"),
    ("100.64.0.0/10", "shared address space"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private use"),
    ("192.0.0.0/24", "IETF protocols"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private use"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4 within IPv6"),
    ("::/96", "IPv4 within IPv6"),
    ("64:ff9b::/96", "IPv4 within IPv6"),
    ("64:ff9b:1::/48", "IPv4 within IPv6"),
    ("100::/64", "discard only"),
    // Teredo is in here too, which embeds IPv4.
    ("2001::/23", "IETF protocols"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "IPv4 within IPv6"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
];
/// All of IPv6 that is assigned to anybody.
const GLOBAL_UNICAST: &str = "2000::/3";

static BLOCKS: LazyLock<Vec<(IpNet, &str)>> =
    LazyLock::new(|| REFUSED.iter().map(|(block, name)| (net(block), *name)).collect());
static ASSIGNED: LazyLock<IpNet> = LazyLock::new(|| net(GLOBAL_UNICAST));

fn net(block: &str) -> IpNet {
    block.parse().expect("the table holds blocks of addresses")
}

/// What an address is for, when it is one that nothing is sent to.
#[must_use]
pub(super) fn refused(address: IpAddr) -> Option<&'static str> {
    let named = BLOCKS.iter().find(|(block, _)| block.contains(&address)).map(|(_, name)| *name);
    let is_assigned = address.is_ipv4() || ASSIGNED.contains(&address);
    named.or((!is_assigned).then_some("not assigned"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<&'static str> {
        refused(address.parse().unwrap())
    }

    #[test]
    fn what_is_not_globally_reachable_is_refused_to_the_last_address() {
        for (first, last, name) in [
            ("0.0.0.0", "0.255.255.255", "this network"),
            ("10.0.0.0", "10.255.255.255", "private use"),
            ("100.64.0.0", "100.127.255.255", "shared address space"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("169.254.0.0", "169.254.255.255", "link-local"),
            ("172.16.0.0", "172.31.255.255", "private use"),
            ("192.0.0.0", "192.0.0.255", "IETF protocols"),
            ("192.0.2.0", "192.0.2.255", "documentation"),
            ("192.168.0.0", "192.168.255.255", "private use"),
            ("198.18.0.0", "198.19.255.255", "benchmarking"),
            ("198.51.100.0", "198.51.100.255", "documentation"),
            ("203.0.113.0", "203.0.113.255", "documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::ffff:0.0.0.0", "::ffff:255.255.255.255", "IPv4 within IPv6"),
            ("::0.0.0.2", "::255.255.255.255", "IPv4 within IPv6"),
            ("64:ff9b::", "64:ff9b::ffff:ffff", "IPv4 within IPv6"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "IPv4 within IPv6"),
            ("100::", "100::ffff:ffff:ffff:ffff", "discard only"),
            ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "not assigned"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF protocols"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "IPv4 within IPv6"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not assigned"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ] {
            assert_eq!((of(first), of(last)), (Some(name), Some(name)), "{first} to {last}");
        }
    }

    #[test]
    fn the_clouds_own_metadata_is_refused() {
        assert_eq!(of("169.254.169.254"), Some("link-local"));
        assert_eq!(of("fd00:ec2::254"), Some("unique local"));
        assert_eq!(of("::ffff:169.254.169.254"), Some("IPv4 within IPv6"));
    }

    #[test]
    fn what_lies_beside_a_refused_block_is_reached() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700:4700::1111",
            "3ffe:ffff::",
            "3fff:1000::",
        ] {
            assert_eq!(of(address), None, "{address}");
        }
    }
}
