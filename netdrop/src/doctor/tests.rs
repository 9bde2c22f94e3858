//! What holds for all checks.

use std::collections::BTreeSet;

use super::made::Made;
use super::*;
use crate::knowledge::{self, Kind};

#[test]
fn every_check_has_its_record_and_every_record_its_check() {
    let checks: BTreeSet<_> = all().map(|check| check.name).collect();
    let entries = knowledge::entries().filter(|entry| entry.kind() == Kind::Check);
    assert_eq!(checks, entries.map(knowledge::Entry::name).collect());
    assert_eq!(checks.len(), all().count(), "a name is there twice");
}

#[test]
fn a_checks_name_begins_with_its_area() {
    for check in all() {
        assert!(check.name.starts_with(&format!("{}-", check.area)), "{}", check.name);
        assert!(!check.needs.is_empty(), "{} needs nothing: what does it judge by?", check.name);
    }
}

/// Nothing moved and nothing is full: no check may find anything on an idle host just booted.
#[test]
fn on_a_host_that_counted_nothing_there_is_nothing() {
    for check in all() {
        let zero = || Snapshot::at_boot(check.needs.iter().copied());
        let (before, after) = (zero(), zero());
        let window = Window {
            before: &before,
            after: &after,
            lasted: std::time::Duration::from_secs(5),
            span: Span::Window,
            drops: Ok(&[]),
            home: &Home::default(),
            whose: &(),
        };
        assert_eq!((check.run)(&window).unwrap_or_default(), [], "{}", check.name);
    }
}

/// Where each counter moved by one, and each reason dropped one, no sentence tells of many.
#[test]
fn one_is_told_as_one() {
    use super::made::{agrees, row};
    use super::parts::Counters;

    let text = |folder: &str| std::fs::read_to_string(format!("/proc/net/{folder}")).unwrap_or_default();
    let ones = |text: String| -> String {
        let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
        let one = |word: &str| if is_number(word) { "1".to_owned() } else { word.to_owned() };
        text.lines()
            .map(|line| line.split_whitespace().map(one).collect::<Vec<_>>().join(" ") + "\n")
            .collect()
    };
    let counters = || {
        let mut counters = Counters::parse(&ones(text("snmp")));
        counters.extend(Counters::parse(&ones(text("netstat"))));
        counters.extend(Counters::parse_v6(&ones(text("snmp6"))));
        counters
    };
    let reasons = knowledge::entries().filter(|entry| entry.kind() == Kind::Reason);
    let rows: Vec<_> = reasons.map(|entry| row(entry.name(), "f", "eth0", 1)).collect();
    let mut of_one = 0;
    for check in all() {
        let zero = || Snapshot::at_boot(check.needs.iter().copied());
        let (before, mut after) = (zero(), zero());
        after.put(Ok(counters()));
        let window = Window {
            before: &before,
            after: &after,
            lasted: std::time::Duration::from_secs(5),
            span: Span::Window,
            drops: Ok(&rows),
            home: &Home::default(),
            whose: &(),
        };
        for finding in (check.run)(&window).unwrap_or_default() {
            agrees(&Finding { check: check.name, ..finding.clone() });
            of_one += usize::from(finding.sentence.starts_with("1 "));
        }
    }
    assert!(of_one >= 10, "only {of_one} sentences told of one");
}

#[test]
fn checks_are_chosen_by_area_or_name() {
    let names = |only: &[&str]| {
        let only: Vec<String> = only.iter().map(ToString::to_string).collect();
        chosen(&only).map(|checks| checks.into_iter().map(|check| check.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap().len(), all().count());
    assert!(names(&["udp"]).unwrap().iter().all(|name| name.starts_with("udp-")));
    assert_eq!(names(&["tcp-listen-overflow"]).unwrap(), ["tcp-listen-overflow"]);
    let error = names(&["upd"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no area or check `upd`; did you mean `udp`?; `netdrop doctor --list` shows all"
    );
}

#[test]
fn the_worst_comes_first() {
    let finding = |severity, rate, subject: &str| Finding::new(severity, subject, "x").losing(rate);
    let mut findings = [
        finding(Severity::Info, 900.0, "a"),
        finding(Severity::Critical, 1.0, "c"),
        finding(Severity::Critical, 1.0, "b"),
        finding(Severity::Critical, 20.0, "d"),
        finding(Severity::Warning, 0.0, "e"),
    ];
    rank(&mut findings);
    assert_eq!(findings.map(|finding| finding.subject).join(""), "dbcea");
}

#[test]
fn drops_of_the_same_site_are_one_and_others_namespaces_are_left_out() {
    use std::sync::Arc;

    use crate::model::{Counts, Netns, Reason, Row, Site};
    use crate::output::samples::endpoint;

    static CHECK: Check = Check {
        name: "udp-x",
        area: Area::Udp,
        scope: Scope::Netns,
        needs: &[],
        run: |window| {
            let evidence = window.drops_of(&["SOCKET_RCVBUFF", "f"]);
            Ok(vec![Finding::new(Severity::Info, "x", "y").shown_by(evidence)])
        },
    };

    let row = |netns, packets, reason: &str| Row {
        counts: Counts { packets, bytes: 0 },
        site: Some(Arc::new(Site { function: Some("f".into()), offset: 16, ..Site::default() })),
        reason: Some(Arc::new(Reason {
            number: 9,
            name: reason.into(),
            class: crate::knowledge::Class::Unknown,
            subsystem: "core".into(),
        })),
        netns: Some(Arc::new(Netns { inode: netns, ..Netns::default() })),
        ..Row::default()
    };
    let rows = vec![
        row(7, 10, "SOCKET_RCVBUFF"),
        Row { example: Some((endpoint("10.0.0.2:40"), endpoint("[::1]:53"))), ..row(7, 5, "SOCKET_RCVBUFF") },
        row(8, 3, "SOCKET_RCVBUFF"),
        row(0, 2, "NOT_SPECIFIED"),
        row(7, 4, "NO_SOCKET"),
    ];
    let home = Home { inode: 7, ..Home::default() };
    let findings = Made::default().drops(rows).at(home).check(&CHECK).unwrap();
    let drops: Vec<_> = findings[0]
        .evidence
        .iter()
        .map(|evidence| match evidence {
            Evidence::Drops(drops) => {
                let to = drops.example.as_ref().map(|example| example.destination.as_str());
                (drops.reason.as_deref(), drops.drops, drops.rate, to)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        drops,
        [(Some("SOCKET_RCVBUFF"), 15, 3.0, Some("[::1]:53")), (Some("NOT_SPECIFIED"), 2, 0.4, None)]
    );
}
