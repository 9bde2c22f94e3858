//! `settings-ports`: ports of services within the range that outgoing connections take theirs from.

use super::host::Host;
use super::odd;
use crate::doctor::parts::Sysctls;
use crate::doctor::{Certainty, Check, Evidence, Finding, Remedy, Severity, Unread, Window};

pub const CHECK: Check = odd("settings-ports", found);

const RANGE: &str = "net.ipv4.ip_local_port_range";
const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";
/// Where the range begins unless somebody set it (`inet_init_net`, `net/ipv4/af_inet.c`). Listeners above it may have their port by chance.
const FIRST: u16 = 32_768;

fn found(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (settings, host) = (window.now::<Sysctls>()?, window.now::<Host>()?);
    let range =
        settings.get(RANGE).and_then(|text| text.split_ascii_whitespace().next()?.parse::<u16>().ok());
    let first = range
        .ok_or_else(|| Unread::new(format!("/proc/sys/{}", RANGE.replace('.', "/")), "it isn't two ports"))?;
    let reserved = settings.get(RESERVED).unwrap_or_default();
    let is_reserved = |port: u16| ranges(reserved).any(|(from, to)| (from..=to).contains(&port));
    let ports: Vec<u16> = host
        .listeners
        .iter()
        .copied()
        .filter(|port| (first..FIRST).contains(port) && !is_reserved(*port))
        .collect();
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let words = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let all = if reserved.is_empty() { words(&ports) } else { format!("{reserved},{}", words(&ports)) };
    let sentence = format!("Outgoing connections may take ports {} of services.", words(&ports));
    Ok(vec![
        Finding::new(Severity::Info, RANGE, sentence)
            .because(
                Certainty::Possible,
                "(hygiene: nothing on this host shows harm by it in this window) The range was widened downwards. When a service is started again while a connection has its port, it can't listen (EADDRINUSE).",
            )
            .shown_by(window.setting(RANGE))
            .shown_by([Evidence::value("listeners", words(&ports), "sock_diag (ss -ltn)")])
            .shown_by(window.setting(RESERVED))
            .remedy(Remedy::sysctl(window, "Keep these ports for services.", &[(RESERVED, &all)]))
            .caution("The list is set as a whole: what stood there before is in it."),
    ])
}

/// `8080,9000-9010`
fn ranges(text: &str) -> impl Iterator<Item = (u16, u16)> {
    text.split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    })
}
