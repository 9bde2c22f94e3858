//! Neighbour solicitations (RFC 4861 section 7.1.1) that must be discarded.

use std::net::Ipv6Addr;

use anyhow::Result;

use super::shape::{EXPECT, V6, inject_v6};
use crate::lab::RECEIVER;
use crate::scenario::{Expect, Scenario, Stage};
use crate::traffic::{Icmp, Ip, Ipv6};

const NDISC: Expect = Expect { functions: &["icmpv6_rcv"], protocol: "icmpv6", ..EXPECT };
/// Routers lower it, so the packet comes from the link itself.
const FROM_THE_LINK: Ipv6 = Ipv6 { hop_limit: 255, ..V6 };
const SOLICITATION: u8 = 135;

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "ndisc-came-over-a-router",
            prepare: |count| inject_v6(&Icmp::message_v6(&V6, solicitation(RECEIVER.v6, 0, &[])), count),
            expect: Expect { reasons: &["IPV6_NDISC_HOP_LIMIT", "NOT_SPECIFIED"], ..NDISC },
        },
        Scenario {
            name: "ndisc-code",
            prepare: |count| solicit(RECEIVER.v6, 1, &[], count),
            expect: Expect { reasons: &["IPV6_NDISC_BAD_CODE", "NOT_SPECIFIED"], ..NDISC },
        },
        Scenario {
            name: "ndisc-option-without-length",
            prepare: |count| solicit(RECEIVER.v6, 0, &[1, 0, 2, 0, 0, 0, 0, 1], count),
            expect: Expect { reasons: &["IPV6_NDISC_BAD_OPTIONS", "NOT_SPECIFIED"], ..NDISC },
        },
        Scenario {
            name: "ndisc-for-another-host",
            prepare: |count| solicit(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x99), 0, &[], count),
            expect: Expect { reasons: &["IPV6_NDISC_NS_OTHERHOST", "NOT_SPECIFIED"], ..NDISC },
        },
        // RFC 6980: one whole fragment is enough to be suspicious of.
        Scenario {
            name: "ndisc-fragmented",
            prepare: |count| {
                let whole = Icmp::message_v6(&FROM_THE_LINK, solicitation(RECEIVER.v6, 0, &[]));
                let fragment = [&[58, 0, 0, 0, 0, 0, 0, 1], &whole[40..]].concat();
                inject_v6(&FROM_THE_LINK.wrap(44, &fragment), count)
            },
            expect: Expect { reasons: &["IPV6_NDISC_FRAG", "NOT_SPECIFIED"], ..NDISC },
        },
    ]
}

fn solicit(target: Ipv6Addr, code: u8, options: &[u8], count: u64) -> Result<Stage> {
    inject_v6(&Icmp::message_v6(&FROM_THE_LINK, solicitation(target, code, options)), count)
}

/// The message, its checksum left out.
fn solicitation(target: Ipv6Addr, code: u8, options: &[u8]) -> Vec<u8> {
    [&[SOLICITATION, code, 0, 0, 0, 0, 0, 0], &target.octets()[..], options].concat()
}
