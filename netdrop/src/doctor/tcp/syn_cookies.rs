//! `tcp-syn-cookies`: as many handshakes wait as a listener's backlog allows, so that the kernel answers by cookie and remembers
//! nothing (`tcp_syn_flood_action`, `net/ipv4/tcp_input.c`; `cookie_v4_check`, `net/ipv4/syncookies.c`).

use super::{PortsInUse, risen};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-syn-cookies",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<PortsInUse>()],
    run,
};

const COOKIES: &str = "net.ipv4.tcp_syncookies";
const MOST: &str = "net.core.somaxconn";
const ALWAYS: u64 = 2;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let sent = window.delta("TcpExt", "SyncookiesSent")?;
    let returned = window.delta("TcpExt", "SyncookiesRecv")?;
    // Somebody wants each connection by cookie.
    if sent.by() == 0 || window.sysctl(COOKIES).is_ok_and(|value| value == ALWAYS) {
        return Ok(Vec::new());
    }
    // Whoever sends a cookie back is there, and wants to connect.
    let is_real = returned.by() * 2 >= sent.by();
    let asked = &window.now::<PortsInUse>()?.asked;
    let busiest = asked.iter().max_by_key(|(_, count)| **count);
    let subject = busiest.map_or("listeners".into(), |(listener, _)| format!("listener {listener}"));
    let waiting = busiest.map(|(_, count)| Evidence::value("handshakes that wait", count, PortsInUse::FROM));
    let (sentence, back) = (
        format!(
            "{} answered by cookie, as too many handshakes waited for their last segment.",
            counted(sent.by(), "SYN was", "SYNs were")
        ),
        risen(window, &["SyncookiesRecv", "SyncookiesFailed", "TCPReqQFullDoCookies"]),
    );
    let severity =
        Severity::of_loss(sent.by(), 0).min(if is_real { Severity::Warning } else { Severity::Info });
    let rate = sent.rate;
    let finding = Finding::new(severity, subject, sentence)
        .losing(rate)
        .shown_by([sent])
        .shown_by(back)
        .shown_by(waiting)
        .shown_by([window.setting(COOKIES), window.setting(MOST)].into_iter().flatten());
    Ok(vec![if is_real {
        finding
            .because(Certainty::Likely, "Real clients come in bursts that are longer than the listener's backlog: most cookies came back. Their connections work, some without window scaling and SACK.")
            .remedy(Remedy::advice("Have the application ask for a longer backlog of listen(2), as it limits the handshakes that wait, too; net.core.somaxconn must allow it."))
            .caution("A longer queue takes memory for each SYN of a flood, too.")
    } else {
        finding
            .because(Certainty::Likely, "A flood of SYNs from addresses that never answer: few cookies came back. SYN cookies do what they are for, and connections of others work.")
            .remedy(
                Remedy::command("See which networks they come from, and have them stopped before this host.", "ss -tn state syn-recv").inside(window),
            )
            .caution("The addresses may be forged: to block them one by one blocks those whose addresses they are.")
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(setting: u64, sent: u64, returned: u64) -> Made {
        let counters = |sent, returned| {
            Counters::from([("TcpExt", "SyncookiesSent", sent), ("TcpExt", "SyncookiesRecv", returned)])
        };
        let settings: Sysctls = [(COOKIES, setting), (MOST, 4096)].into_iter().collect();
        Made::default()
            .part(counters(1, 1), counters(1 + sent, 1 + returned))
            .part(Sysctls::default(), settings)
            .part(PortsInUse::default(), PortsInUse::default())
    }

    #[test]
    fn a_flood_is_told_from_clients() {
        let told = |sent, returned| {
            let finding = made(1, sent, returned).check(&CHECK).unwrap().remove(0);
            (finding.severity, finding.cause.contains("flood"))
        };
        assert_eq!(told(500, 0), (Severity::Info, true));
        assert_eq!(told(500, 400), (Severity::Warning, false));
        assert_eq!(told(5, 5), (Severity::Info, false));
        assert_eq!(made(1, 0, 0).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(2, 500, 400).check(&CHECK), Ok(Vec::new()));
    }
}
