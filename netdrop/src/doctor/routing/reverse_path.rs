//! `routing-reverse-path`: packets whose answer would leave by another device (`__fib_validate_source`, `net/ipv4/fib_frontend.c`; counted by
//! `ip_rcv_finish_core`, `net/ipv4/ip_input.c`).

use super::{Confs, key, list, sum};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "routing-reverse-path",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Confs>(), source::<Counters>()],
    run,
};

const EXPLAINED: [&str; 1] = ["IP_RPFILTER"];
const STRICT: u8 = 1;
const LOOSE: u8 = 2;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let confs = window.now::<Confs>()?;
    let filtered = window.delta("TcpExt", "IPReversePathFilter")?;
    let lost = filtered.by();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let devices = devices(window, confs);
    let strict: Vec<&String> = devices.iter().filter(|device| confs.rp_filter(device) == STRICT).collect();
    let subject = if devices.is_empty() { "reverse path filter".into() } else { list(&devices) };
    let received = sum(window, &[("Ip", "InReceives")]).saturating_sub(lost);
    let settings = devices.iter().map(|device| {
        let value = format!("{} (with conf.all's)", confs.rp_filter(device));
        let file = format!("/proc/sys/net/ipv4/conf/{device}/rp_filter");
        Evidence::value(format!("rp_filter of {device}"), value, file)
    });
    let sentence =
        format!("{} dropped by the reverse path filter.", counted(lost, "packet was", "packets were"));
    let finding = Finding::new(Severity::of_loss(lost, received), subject, sentence)
        .losing(filtered.rate)
        .shown_by([filtered])
        .shown_by(settings)
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED);
    Ok(vec![if strict.is_empty() { unknown(finding) } else { asymmetric(window, finding, &strict) }])
}

/// Where they were dropped; all that are filtered, if that isn't known.
fn devices(window: &Window, confs: &Confs) -> Vec<String> {
    let dropping = window.devices_of(&EXPLAINED);
    if !dropping.is_empty() {
        return dropping.into_iter().map(|(device, _)| device).collect();
    }
    let filtering = confs.devices().filter(|(device, _)| confs.rp_filter(device) == STRICT);
    filtering.map(|(device, _)| device.to_owned()).collect()
}

fn asymmetric(window: &Window, finding: Finding, devices: &[&String]) -> Finding {
    let keys: Vec<String> = devices.iter().map(|device| key(device, "rp_filter")).collect();
    let settings: Vec<(&str, &dyn std::fmt::Display)> =
        keys.iter().map(|key| (key.as_str(), &LOOSE as &dyn std::fmt::Display)).collect();
    finding
        .because(
            Certainty::Likely,
            "The route back to their source leaves by another device: routing is asymmetric (two uplinks, a VPN, policy routing), or the source is forged. The filter is strict there.",
        )
        .remedy(Remedy::sysctl(
            window,
            "If such sources are right, filter loosely: any route back will do. The larger of this and conf.all's value counts.",
            &settings,
        ))
        .caution("A loose filter lets forged sources of all routed networks in. Where the sources are forged, leave it as it is: it does its work.")
}

fn unknown(finding: Finding) -> Finding {
    finding
        .because(
            Certainty::Likely,
            "No route at all leads back to their source, as the filter isn't strict: the source is forged, or a route is missing.",
        )
        .remedy(Remedy::command(
            "See whose they are. If they are right, add the route back to them (`ip route get SOURCE` tells).",
            "netdrop watch --reason IP_RPFILTER --by src --duration 10s",
        ))
        .caution("A host with a default route has a way back to everybody: look for a missing one first.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};
    use crate::doctor::routing::Conf;

    fn made(all: u8, own: u8, lost: u64) -> Made {
        let conf = |rp_filter| Conf { rp_filter, forwarding: false };
        let confs = Confs(
            [("all", conf(all)), ("eth0", conf(0)), ("eth1", conf(own))]
                .map(|(name, conf)| (name.into(), conf))
                .into(),
        );
        let counters = |lost| {
            Counters::from([("TcpExt", "IPReversePathFilter", 3 + lost), ("Ip", "InReceives", lost * 4)])
        };
        Made::default().part(Confs::default(), confs).part(counters(0), counters(lost))
    }

    #[test]
    fn asymmetric_routing() {
        let rows = vec![row("IP_RPFILTER", "ip_rcv_finish_core", "eth1", 50)];
        assert_snapshot!(made(0, 1, 50).drops(rows).told(&CHECK));
    }

    #[test]
    fn without_drops_all_strict_devices_are_meant() {
        let findings = made(1, 1, 50).check(&CHECK).unwrap();
        assert_eq!(findings[0].subject, "eth0 and eth1");
        assert_eq!(
            findings[0].remedies[0].now,
            ["sysctl -w net.ipv4.conf.eth0.rp_filter=2", "sysctl -w net.ipv4.conf.eth1.rp_filter=2"]
        );
    }

    #[test]
    fn a_loose_filter_drops_what_no_route_leads_to() {
        let findings = made(2, 1, 50).check(&CHECK).unwrap();
        assert!(findings[0].cause.starts_with("No route at all"), "{findings:?}");
    }

    #[test]
    fn nothing_filtered_is_nothing_found() {
        assert_eq!(made(1, 1, 0).check(&CHECK), Ok(Vec::new()));
    }
}
