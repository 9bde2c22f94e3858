//! `tcp-option-off`: window scaling, SACK or timestamps switched off (`Documentation/networking/ip-sysctl.rst`): all three are on unless
//! somebody changed them, and each is missed by connections over any distance.

use super::{Connections, rise};
use crate::counters::tcp_connections::Connection;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "tcp-option-off",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Sysctls>(), source::<Connections>(), source::<Counters>()],
    run,
};

/// A setting, the bit of `TCPI_OPT_…` (`include/uapi/linux/tcp.h`), its name, and what connections lack without.
const OPTIONS: [(&str, u8, &str, &str); 3] = [
    (
        "net.ipv4.tcp_window_scaling",
        4,
        "Window scaling",
        "no more than 64 KiB can be on their way: over 50 ms that is 10 Mbit/s",
    ),
    (
        "net.ipv4.tcp_sack",
        2,
        "SACK",
        "after a loss, the sender has to guess what else is missing, and repairs one segment a round trip",
    ),
    (
        "net.ipv4.tcp_timestamps",
        1,
        "Timestamps",
        "ports in TIME_WAIT can't be taken again, and fast connections lose their protection against old segments",
    ),
];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let connections = window.now::<Connections>()?;
    let is_remote = |one: &&Connection| !one.socket.remote.ip().to_canonical().is_loopback();
    let remote: Vec<_> = connections.0.all.iter().filter(is_remote).collect();
    let off = OPTIONS.iter().filter(|(key, ..)| window.sysctl(key).is_ok_and(|value| value == 0));
    let findings = off.map(|&(key, bit, name, lack)| {
        let without = remote.iter().filter(|one| one.info.options & bit == 0).count();
        // SACK is missed where something is lost; timestamps may be off on purpose.
        let is_missed = match bit {
            4 => without > 0,
            2 => without > 0 && rise(window, "Tcp", "RetransSegs") > 0,
            _ => false,
        };
        let severity = if is_missed { Severity::Warning } else { Severity::Info };
        Finding::new(severity, key, format!("{name} is switched off: {lack}."))
            .because(
                Certainty::Certain,
                "Somebody set it: the kernel has it on. Old guides advise so, for reasons that are gone.",
            )
            .shown_by(window.setting(key))
            .shown_by([Evidence::value(
                "connections without it",
                format!("{without} of {}", remote.len()),
                Connections::FROM,
            )])
            .remedy(Remedy::sysctl(window, "Switch it on, for connections to come.", &[(key, &1)]))
            .caution("Where it was switched off for a broken middlebox or NAT, have that mended first.")
    });
    Ok(findings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(scaling: u64, sack: u64, remote: &str) -> Made {
        let settings: Sysctls =
            [(OPTIONS[0].0, scaling), (OPTIONS[1].0, sack), (OPTIONS[2].0, 1)].into_iter().collect();
        let connections = Connections(vec![connection("10.0.0.1:80", remote, 7)].into());
        Made::default()
            .part(Sysctls::default(), settings)
            .part(Connections::default(), connections)
            .part(Counters::default(), Counters::default())
    }

    #[test]
    fn what_is_missed_is_a_warning_and_the_rest_hygiene() {
        let found = |scaling, sack, remote| {
            let findings = made(scaling, sack, remote).check(&CHECK).unwrap();
            findings.into_iter().map(|finding| (finding.subject, finding.severity)).collect::<Vec<_>>()
        };
        let (scaling, sack) = (OPTIONS[0].0.to_owned(), OPTIONS[1].0.to_owned());
        assert_eq!(found(0, 1, "192.0.2.7:9"), [(scaling.clone(), Severity::Warning)]);
        assert_eq!(found(0, 1, "127.0.0.1:9"), [(scaling, Severity::Info)]);
        assert_eq!(found(1, 0, "192.0.2.7:9"), [(sack, Severity::Info)]);
        assert_eq!(found(1, 1, "192.0.2.7:9"), []);
    }
}
