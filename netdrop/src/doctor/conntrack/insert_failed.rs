//! `conntrack-insert-failed`: packets that lost a race for the same connection (`__nf_conntrack_confirm`, `net/netfilter/nf_conntrack_core.c`).

use super::Conntrack;
use crate::doctor::{
    Area, Certainty, Check, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "conntrack-insert-failed",
    area: Area::Conntrack,
    scope: Scope::Netns,
    needs: &[source::<Conntrack>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Conntrack>()?;
    let moved = |name: &str| {
        let pair = (before.0.get(name).unwrap_or(0), after.0.get(name)?);
        Some(window.moved(format!("conntrack {name}"), pair, Conntrack::FROM))
    };
    let Some(failed) = moved("insert_failed").filter(|moved| moved.by() > 0) else { return Ok(Vec::new()) };
    let sentence =
        format!("{} packets were dropped as their connection was being entered twice.", failed.by());
    Ok(vec![
        Finding::new(Severity::of_loss(failed.by(), 0).min(Severity::Warning), "connection tracking", sentence)
            .losing(failed.rate)
            .because(
                Certainty::Likely,
                "Two packets of a new connection, or two connections that source NAT gives the same port, were on their way at the same time: DNS queries for A and AAAA from one socket are the usual ones.",
            )
            .shown_by([failed])
            .shown_by(moved("clashres").filter(|moved| moved.by() > 0))
            .explains(&["NETFILTER_DROP", "nf_conntrack_confirm"])
            .remedy(Remedy::advice("Have source NAT choose ports at random: `masquerade random-fully` (nft), `--random-fully` (iptables)."))
            .remedy(Remedy::advice("For DNS: `options single-request-reopen` in resolv.conf, or a resolver cache on the host that isn't reached by NAT."))
            .caution("Resolvers try again after 5 seconds: few such losses are felt as slow look-ups."),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    #[test]
    fn races_are_told_of() {
        let table = |failed| Conntrack([("insert_failed", failed), ("clashres", failed * 2)].into());
        let findings = Made::default().part(table(1), table(51)).check(&CHECK).unwrap();
        assert_eq!((findings[0].severity, findings[0].evidence.len()), (Severity::Warning, 2));
        assert_eq!(Made::default().part(table(1), table(1)).check(&CHECK), Ok(Vec::new()));
        assert_eq!(
            Made::default().part(Conntrack::default(), Conntrack::default()).check(&CHECK),
            Ok(Vec::new())
        );
    }
}
