//! `conntrack-hash-load`: a hash table too small for what is in it (`__nf_conntrack_confirm`, `net/netfilter/nf_conntrack_core.c`).

use super::memory::BUCKET;
use super::{BUCKETS, COUNT, Conntrack, MOST, by, explained, moved};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::{bytes, counted};

pub const CHECK: Check = Check {
    name: "conntrack-hash-load",
    area: Area::Conntrack,
    scope: Scope::Netns,
    needs: &[source::<Conntrack>(), source::<Sysctls>()],
    run,
};

/// Entries in a chain, on average. Each connection is in the table twice; with the kernel's own sizes a full table has 2, before 5.15 it had 8.
const LONG: u64 = 8;
/// Half of what the kernel bears before it drops (`MIN_CHAINLEN`).
const VERY_LONG: u64 = 25;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    // Since 5.15; under this name in the file.
    let too_long = moved(window, "chainlength")?;
    let (count, most, buckets) = (window.sysctl(COUNT)?, window.sysctl(MOST)?, window.sysctl(BUCKETS)?);
    let chain = count.saturating_mul(2) / buckets.max(1);
    let lost = by(too_long.as_ref());
    let (severity, sentence) = match (lost, chain) {
        (0, ..=LONG) => return Ok(Vec::new()),
        (0, _) => {
            let severity = if chain >= VERY_LONG { Severity::Warning } else { Severity::Info };
            let sentence = format!(
                "Each packet's connection is looked for among {chain} others, on average: the hash table is small."
            );
            (severity, sentence)
        }
        (lost, _) => {
            let sentence = format!(
                "{} dropped, as the chain in the hash table was too long.",
                counted(lost, "packet of a new connection was", "packets of new connections were")
            );
            (Severity::of_loss(lost, 0), sentence)
        }
    };
    let all = lost + by(moved(window, "drop")?.as_ref());
    let enough = most.max(count).max(1).next_power_of_two();
    let finding = Finding::new(severity, "connection tracking's hash table", sentence)
        .losing(window.rate(lost))
        .because(
            if enough > buckets { Certainty::Certain } else { Certainty::Possible },
            if enough > buckets {
                "The table has fewer chains than connections are allowed: the limit was raised, and the table left as it was."
            } else {
                "The table is large enough: somebody chooses addresses and ports that fall into the same chain, or other namespaces fill it, too."
            },
        )
        .shown_by(too_long.filter(|moved| moved.by() > 0))
        .shown_by([
            window.setting(COUNT),
            window.setting(BUCKETS),
            Some(Evidence::value("entries in a chain, on average", chain, "2 × count / buckets")),
        ].into_iter().flatten())
        .explains(explained(window, lost, all))
        .caution(format!("{enough} chains take {} ({enough} × {BUCKET} bytes). All connections of all namespaces are entered anew, which takes a moment.", bytes(enough * BUCKET)));
    Ok(vec![if enough > buckets {
        finding.remedy(Remedy::host_sysctl(
            "Give it as many chains as connections are allowed.",
            &[(BUCKETS, &enough)],
        ))
    } else {
        finding.remedy(Remedy::advice("See whose connections these are (`conntrack -L`), and limit those of one source (`ct count` of nft, connlimit of iptables)."))
    }])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    fn made(count: u64, buckets: u64, too_long: u64) -> Made {
        let table = |too_long| Conntrack([("chainlength", too_long), ("drop", 0)].into());
        let settings: Sysctls = [(COUNT, count), (MOST, 65_536), (BUCKETS, buckets)].into_iter().collect();
        Made::default().part(table(4), table(4 + too_long)).part(Sysctls::default(), settings)
    }

    #[test]
    fn chains_that_are_too_long() {
        assert_snapshot!(made(30_000, 512, 500).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::a_full_table_of_5_10(65_536, 16_384, 0, None)]
    #[case(50_000, 8192, 0, Some(Severity::Info))]
    #[case(60_000, 4096, 0, Some(Severity::Warning))]
    #[case::chosen_to_collide(2000, 65_536, 100, Some(Severity::Critical))]
    fn the_length_decides(
        #[case] count: u64,
        #[case] buckets: u64,
        #[case] too_long: u64,
        #[case] severity: Option<Severity>,
    ) {
        let findings = made(count, buckets, too_long).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }
}
