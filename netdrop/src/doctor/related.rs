//! Findings about the same process: what one of them knows better than another.

use super::finding::Finding;
use super::{Area, Remedy};

/// A full queue is the sign of a reader that doesn't come to it. Where the checks of applications say why, that is the cause, and what
/// helps there helps: a larger queue doesn't.
pub fn relate(findings: &mut [Finding]) {
    let known: Vec<_> = findings.iter().filter(|one| one.area == Area::Application).cloned().collect();
    for queue in findings.iter_mut().filter(|one| one.check == "udp-receive-queue-full") {
        let is_why = |one: &&Finding| {
            reader(one).is_some_and(|reader| Some(reader) == self::reader(queue)) && one.netns == queue.netns
        };
        if let Some(why) = known.iter().find(is_why) {
            queue.cause = format!("Its process doesn't read fast enough: {} says why.", why.check);
            queue.certainty = why.certainty;
            let what = format!("What helps with {}: a larger queue only makes data older.", why.check);
            queue.remedies = vec![Remedy::advice(what)];
            queue.caution = None;
        }
    }
}

/// `dnsmasq(812)` of `socket 0.0.0.0:5353 of dnsmasq(812)`.
fn reader(finding: &Finding) -> Option<&str> {
    finding.subject.rsplit_once(" of ").map(|(_, reader)| reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Certainty, Severity};

    fn finding(check: &'static str, area: Area, subject: &str) -> Finding {
        let finding = Finding::new(Severity::Critical, subject, "It is full.");
        let finding = finding.because(Certainty::Certain, "It was stopped.").remedy(Remedy::advice("More."));
        Finding { check, area, ..finding }
    }

    #[rstest::rstest]
    #[case::its_socket("socket 0.0.0.0:53 of dnsmasq(812)", None, true)]
    #[case::some_of_its_sockets("3 sockets of dnsmasq(812)", None, true)]
    #[case::another_process("socket 0.0.0.0:53 of dnsmasq(813)", None, false)]
    #[case::nobodys("socket 0.0.0.0:53", None, false)]
    #[case::elsewhere("socket 0.0.0.0:53 of dnsmasq(812)", Some("web"), false)]
    fn why_a_queue_is_full(#[case] subject: &str, #[case] netns: Option<&str>, #[case] is_related: bool) {
        let queue = finding("udp-receive-queue-full", Area::Udp, "socket 0.0.0.0:53 of dnsmasq(812)");
        let why = finding("application-stopped", Area::Application, subject);
        let mut findings = [queue, Finding { netns: netns.map(Into::into), ..why }];
        relate(&mut findings);
        assert_eq!(findings[0].cause.contains("application-stopped"), is_related, "{findings:?}");
        assert_eq!(findings[0].remedies[0].what.contains("application-stopped"), is_related);
        assert_eq!(findings[1].cause, "It was stopped.");
    }
}
