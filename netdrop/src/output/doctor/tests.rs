//! One diagnosis in every form.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use insta::assert_snapshot;

use super::*;
use crate::doctor::{
    Area, Certainty, Diagnosis, Drops, Evidence, Example, Finding, Moved, Remedy, Severity, Unchecked,
};

fn found() -> Diagnosis {
    let lasted = Duration::from_secs(5);
    let finding = Finding {
        check: "udp-receive-queue-full",
        area: Area::Udp,
        netns: Some("web".into()),
        verify: "netdrop doctor --only udp-receive-queue-full --netns web".into(),
        ..Finding::new(
            Severity::Critical,
            "socket 0.0.0.0:53 of dns\u{1b}[2J(7)",
            "500 datagrams were dropped.",
        )
        .losing(100.0)
        .because(Certainty::Likely, "The process reads more slowly than datagrams come to it.")
        .shown_by([Moved::new("UdpRcvbufErrors", (3, 4503), lasted, "/proc/net/snmp")])
        .shown_by([Evidence::value("receive queue", "7 of 9 bytes", "sock_diag")])
        .shown_by([Evidence::Drops(Drops {
            function: Some("udp_queue_rcv_one_skb".into()),
            offset: Some(0x1a),
            reason: Some("SOCKET_RCVBUFF".into()),
            drops: 500,
            rate: 100.0,
            example: Some(Example { source: "10.0.0.2:4000".into(), destination: "[2001:db8::1]:53".into() }),
        })])
        .remedy(Remedy::host_sysctl("Let it have more.", &[("net.core.rmem_max", &4096)]))
        .remedy(Remedy::advice("Have it read faster."))
        .caution("More is older.")
        .explains(&["SOCKET_RCVBUFF"])
    };
    let unchecked = Unchecked {
        check: "conntrack-table-full",
        area: Area::Conntrack,
        netns: None,
        why: "/proc/net/stat/nf_conntrack: this kernel or this namespace doesn't have it".into(),
    };
    Diagnosis { findings: vec![finding], unchecked: vec![unchecked], checked: 8 }
}

fn closing_of(diagnosis: &Diagnosis) -> Closing<'_> {
    Closing { diagnosis, lasted: Duration::from_secs(5), since_boot: false, drops: Ok(1234) }
}

#[rstest::rstest]
#[case(100)]
#[case(50)]
fn for_people(#[case] width: usize) {
    let diagnosis = found();
    let text =
        finding(&diagnosis.findings[0], width, false) + "\n" + &closing(&closing_of(&diagnosis), width);
    let too_long = text.lines().find(|line| line.width() > width && !line.contains("$ "));
    assert_eq!(too_long, None);
    assert_snapshot!(format!("text_{width}"), text);
}

#[test]
fn colour_is_all_that_colour_adds() {
    let finding_of = |color| finding(&found().findings[0], 100, color);
    let painted = finding_of(true);
    assert!(painted.starts_with("\x1b[1;31mcritical\x1b[0m  \x1b[1msocket"), "{painted:?}");
    let mut bare = painted;
    for code in ["\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"] {
        bare = bare.replace(code, "");
    }
    let same = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(same(bare), same(finding_of(false)));
}

#[test]
fn a_line_each() {
    assert_snapshot!("table", table(&found().findings, Some(70), false));
    let fine = Diagnosis { checked: 1, ..Diagnosis::default() };
    assert_snapshot!("closing_fine", closing(&closing_of(&fine), 100));
    let history = Closing { since_boot: true, drops: Err("nobody counted them"), ..closing_of(&fine) };
    assert_snapshot!("closing_history", closing(&history, 100));
}

#[test]
fn every_line_is_within_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(crate::output::json::schema()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let diagnosis = found();
    let with = json(&closing_of(&diagnosis));
    let without = json(&Closing { drops: Err("no privileges"), ..closing_of(&diagnosis) });
    assert_snapshot!("json", with);
    for line in with.lines().chain(without.lines()) {
        let value = serde_json::from_str(line).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
    }
}
