//! Where netfilter decided that a packet is dropped.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a netfilter verdict was given, as far as the call chain tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// What evaluated the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<Framework>,
    /// The family that the rules are registered for. Where the framework isn't known it is that of the hook, where nftables may
    /// have a table of this one or of `inet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<TableFamily>,
    /// The hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// The table of iptables and its kin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
}

impl Verdict {
    /// Whether nothing of it is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// `nftables inet input`; nothing of what isn't known.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.framework.map(Framework::as_str),
            self.family.map(TableFamily::as_str),
            self.table.map(Table::as_str),
            self.hook.map(Hook::as_str),
        ];
        for (index, word) in words.into_iter().flatten().enumerate() {
            f.write_str(if index > 0 { " " } else { "" })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// An enum whose values are words of nft(8) or iptables(8), the same in JSON.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $value,)+
        }

        impl $name {
            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }
    };
}

words! {
    /// What evaluates rules.
    Framework {
        /// nftables.
        Nftables = "nftables",
        /// iptables, ip6tables, arptables, ebtables with kernel tables of their own ("legacy").
        Xtables = "xtables",
    }
}

words! {
    /// A family of tables, by nft(8)'s names.
    TableFamily {
        /// IPv4.
        Ip = "ip",
        /// IPv6.
        Ip6 = "ip6",
        /// IPv4 and IPv6 in one table.
        Inet = "inet",
        /// ARP.
        Arp = "arp",
        /// Bridges.
        Bridge = "bridge",
        /// Devices, before and behind all protocols.
        Netdev = "netdev",
    }
}

words! {
    /// A netfilter hook, by nft(8)'s names; iptables has the same in capitals.
    Hook {
        /// Behind a device, before anything else.
        Ingress = "ingress",
        /// Before the route is looked up.
        Prerouting = "prerouting",
        /// To this machine.
        Input = "input",
        /// Through this machine.
        Forward = "forward",
        /// From this machine.
        Output = "output",
        /// After the route is known.
        Postrouting = "postrouting",
        /// In front of a device, after anything else.
        Egress = "egress",
    }
}

words! {
    /// A table of iptables, ip6tables, arptables, ebtables.
    Table {
        /// Filters packets.
        Filter = "filter",
        /// Alters packets.
        Mangle = "mangle",
        /// Translates addresses.
        Nat = "nat",
        /// Before connections are tracked.
        Raw = "raw",
        /// Of mandatory access control.
        Security = "security",
        /// ebtables' decision whether a frame is bridged or routed.
        Broute = "broute",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_in_words() {
        let all = Verdict {
            framework: Some(Framework::Xtables),
            family: Some(TableFamily::Ip6),
            hook: Some(Hook::Prerouting),
            table: Some(Table::Raw),
        };
        assert_eq!(all.to_string(), "xtables ip6 raw prerouting");
        let hook = Verdict { hook: all.hook, ..Verdict::default() };
        assert_eq!(hook.to_string(), "prerouting");
        assert!(!hook.is_unknown() && Verdict::default().is_unknown());
    }

    #[test]
    fn json_has_the_same_words() {
        let verdict =
            Verdict { family: Some(TableFamily::Inet), hook: Some(Hook::Input), ..Verdict::default() };
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, r#"{"family":"inet","hook":"input"}"#);
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    }
}
