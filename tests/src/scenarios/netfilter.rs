//! Rules of nftables and iptables that drop.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Result, ensure};

use super::shape::{BEHIND, ETHER_V4, ETHER_V6, EXPECT, UDP, V4, V6, inject};
use crate::lab::{Lab, RECEIVER};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::Ipv4;

const NFT: Expect =
    Expect { reasons: &["NETFILTER_DROP"], functions: &["nft_do_chain", "nf_hook_slow"], ..EXPECT };
const IPTABLES: Expect = Expect { functions: &["nf_hook_slow", "ipt_do_table", "ip6t_do_table"], ..NFT };

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "nft-input",
            prepare: |count| {
                let lab = Lab::pair()?;
                nft(&lab, "inet", "input")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect { packet: &[("/destination/port", "9")], ..NFT },
        },
        Scenario {
            name: "nft-input-v6",
            prepare: |count| {
                let lab = Lab::pair_v6()?;
                nft(&lab, "inet", "input")?;
                inject(lab, ETHER_V6.wrap(&UDP.packet(&V6, b"hello")), count)
            },
            expect: NFT,
        },
        Scenario {
            name: "nft-prerouting",
            prepare: |count| {
                let lab = Lab::pair()?;
                nft(&lab, "ip", "prerouting")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: NFT,
        },
        Scenario {
            name: "nft-forward",
            prepare: |count| {
                let lab = Lab::router()?;
                nft(&lab, "inet", "forward")?;
                let ip = Ipv4 { destination: BEHIND, ..V4 };
                inject(lab, ETHER_V4.wrap(&UDP.packet(&ip, b"hello")), count)
            },
            expect: NFT,
        },
        Scenario {
            name: "nft-output",
            prepare: |count| {
                let lab = Lab::pair()?;
                nft_in(lab.from(), "inet", "output")?;
                refused_sends(lab, count)
            },
            expect: Expect { at: At::Sender, device: "", ..NFT },
        },
        Scenario {
            name: "nft-netdev-ingress",
            prepare: |count| {
                let lab = Lab::pair()?;
                let rules = "table netdev t { chain c { type filter hook ingress device r0 priority 0; \
                             udp dport 9 drop; }; }";
                lab.receiver.feature("nftables netdev", "nft -f -", rules)?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: NFT,
        },
        Scenario {
            name: "iptables-input",
            prepare: |count| {
                let lab = Lab::pair()?;
                let rule = "iptables-legacy -w -A INPUT -p udp -j DROP";
                lab.receiver.feature("iptables", rule, "")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: IPTABLES,
        },
        Scenario {
            name: "iptables-output",
            prepare: |count| {
                let lab = Lab::pair()?;
                let rule = "iptables-legacy -w -A OUTPUT -p udp -j DROP";
                lab.from().feature("iptables", rule, "")?;
                refused_sends(lab, count)
            },
            expect: Expect { at: At::Sender, device: "", ..IPTABLES },
        },
        Scenario {
            name: "ip6tables-input",
            prepare: |count| {
                let lab = Lab::pair_v6()?;
                let rule = "ip6tables-legacy -w -A INPUT -p udp -j DROP";
                lab.receiver.feature("ip6tables", rule, "")?;
                inject(lab, ETHER_V6.wrap(&UDP.packet(&V6, b"hello")), count)
            },
            expect: IPTABLES,
        },
    ]
}

fn nft(lab: &Lab, family: &str, hook: &str) -> Result<()> {
    nft_in(&lab.receiver, family, hook)
}

fn nft_in(namespace: &crate::lab::Namespace, family: &str, hook: &str) -> Result<()> {
    let rules = format!(
        "table {family} t {{ chain c {{ type filter hook {hook} priority 0; udp dport 9 drop; }}; }}"
    );
    namespace.feature("nftables", "nft -f -", &rules)
}

/// Datagrams whose own kernel refuses to send them: `EPERM`, and the packet is gone.
fn refused_sends(lab: Lab, count: u64) -> Result<Stage> {
    let socket = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    let address = SocketAddr::new(IpAddr::V4(RECEIVER.v4), 9);
    Stage::new(lab, move |_| {
        for _ in 0..count {
            let refused = socket
                .send_to(b"hey", address)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
            ensure!(refused, "the rule let a datagram out");
        }
        Ok(())
    })
}
