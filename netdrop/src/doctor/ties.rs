//! From findings to the drops that they explain.

use super::finding::Finding;
use super::window::Home;
use super::{Scope, all};
use crate::model::{Explanation, Row};

/// The findings that explain drops of these rows, made in these namespaces, the caller's own first; each with what is shown beside the drops.
pub fn ties<'f>(findings: &'f [Finding], homes: &[Home], rows: &[Row]) -> Vec<(&'f Finding, Explanation)> {
    let tied = findings.iter().map(|finding| (finding, explanation(finding, homes)));
    tied.filter(|(_, one)| rows.iter().any(|row| row.counts.packets > 0 && one.is_of(row))).collect()
}

/// A finding in short.
pub fn explanation(finding: &Finding, homes: &[Home]) -> Explanation {
    let home = match &finding.netns {
        None => homes.first(),
        name => homes.iter().find(|home| home.name == *name),
    };
    let of_host = all().any(|check| check.name == finding.check && check.scope == Scope::Host);
    Explanation {
        check: finding.check.into(),
        severity: finding.severity.as_str().into(),
        subject: match &finding.netns {
            Some(name) => format!("{} in {name}", finding.subject),
            None => finding.subject.clone(),
        },
        sentence: finding.sentence.clone(),
        cause: finding.cause.clone(),
        explains: finding.explains.iter().map(ToString::to_string).collect(),
        verify: finding.verify.clone(),
        netns: home.map(|home| home.inode).filter(|inode| *inode != 0 && !of_host),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::doctor::{Area, Severity};
    use crate::knowledge::Class;
    use crate::model::{Counts, Netns, Reason};

    fn row(packets: u64, netns: u32) -> Row {
        let (name, subsystem) = ("CPU_BACKLOG".into(), "core".into());
        Row {
            counts: Counts { packets, bytes: 0 },
            reason: Some(Arc::new(Reason { number: 9, name, class: Class::Congestion, subsystem })),
            netns: Some(Arc::new(Netns { inode: netns, ..Netns::default() })),
            ..Row::default()
        }
    }

    #[test]
    fn what_concerns_the_host_explains_drops_of_all_namespaces() {
        let of = |check, area| Finding {
            check,
            area,
            ..Finding::new(Severity::Warning, "x", "y").explains(&["CPU_BACKLOG"])
        };
        let findings = [of("softirq-backlog-full", Area::Softirq), of("udp-memory-full", Area::Udp)];
        let homes = [Home { inode: 7, ..Home::default() }];
        let tied = |rows: &[Row]| ties(&findings, &homes, rows).len();
        assert_eq!([tied(&[row(1, 7)]), tied(&[row(1, 8)]), tied(&[row(0, 7)]), tied(&[])], [2, 1, 0, 0]);
    }

    #[test]
    fn a_finding_of_another_namespace_explains_its_drops() {
        let finding = Finding {
            netns: Some("web".into()),
            ..Finding::new(Severity::Warning, "x", "y").explains(&["CPU_BACKLOG"])
        };
        let web = Home { inode: 8, name: Some("web".into()), enter: None };
        let homes = [Home { inode: 7, ..Home::default() }, web];
        let findings = [finding];
        assert!(ties(&findings, &homes, &[row(1, 7)]).is_empty());
        let tied = ties(&findings, &homes, &[row(1, 8)]);
        assert_eq!((tied[0].1.netns, tied[0].1.subject.as_str()), (Some(8), "x in web"));
    }
}
