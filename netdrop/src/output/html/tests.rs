//! The file is whole, bounded, and holds nothing of the recording but text. How it looks and works is tested in a browser.

use std::time::Duration;

use serde_json::Value;

use super::super::samples::{self, written};
use super::*;
use crate::model::{Context, Counts, Row};

const HOSTILE: &str = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>&\u{2028}\"'";

fn page(fill: impl FnOnce(&mut Page), end: &Summary) -> String {
    let mut page = Page::default();
    fill(&mut page);
    let hosts = [Host { name: HOSTILE.into(), kernel: "6.12.9".into() }];
    let files = [HOSTILE.to_owned()];
    written(|out| page.write(end, About { files: &files, hosts: &hosts, runs: 1 }, out))
}

fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn all_placeholders_are_filled_and_nobody_is_asked_for_anything() {
    let page = page(|_| {}, &samples::end());
    assert!(!page.contains("{{") && page.trim_end().ends_with("</html>"));
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=", "url(", "@import", "fetch(", "XMLHttpRequest", "innerHTML"]
    {
        assert!(!page.contains(outside) || outside == "src=" && !PAGE.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn hostile_names_stay_text() {
    let mut end = samples::end();
    end.rows[0].function = Some(HOSTILE.into());
    end.rows[0].site = None;
    end.attribution.notes.push(HOSTILE.into());
    let line = serde_json::json!({ "time": HOSTILE, "packet": { HOSTILE: HOSTILE } }).to_string();
    let page = page(|page| Listener::drop(page, &samples::udp().drop(1), line.as_bytes()), &end);
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<!--") && !page.contains('\u{2028}'));
    let data = data(&page);
    assert_eq!((&data["kinds"][0]["function"], &data["files"][0]), (&HOSTILE.into(), &HOSTILE.into()));
}

#[test]
fn counts_details_and_meaning_come_together() {
    let stack = ["__udp4_lib_rcv+0x4bc".to_owned(), "ip_rcv+0x1".to_owned()];
    let owner = samples::owner();
    let page = page(
        |page| {
            for weight in [3, 4] {
                let context = Context { stack: &stack, owner: Some(&owner), ..Context::default() };
                let parts = samples::udp();
                let drop = Drop { context, ..parts.drop(weight) };
                Listener::drop(page, &drop, format!("{{\"weight\":{weight}}}").as_bytes());
            }
            for _ in 0..3 {
                page.summary(&samples::summary());
            }
        },
        &samples::end(),
    );
    let data = data(&page);
    let kind = &data["kinds"][0];
    assert_eq!(
        (&kind["reason"], &kind["count"], &kind["weight"]),
        (&"NO_SOCKET".into(), &4_894_120.into(), &7.into())
    );
    assert_eq!(kind["flows"]["rows"][0]["count"], 7);
    assert_eq!(kind["owners"]["rows"][0]["name"], owner.first().unwrap().to_string());
    assert_eq!(kind["stacks"]["rows"][0]["frames"][0], stack[0]);
    assert_eq!((kind["samples"].as_array().unwrap().len(), &kind["sampled"]), (2, &2.into()));
    assert_eq!(kind["course"], serde_json::json!([489_412, 489_412, 489_412]));
    assert_eq!(data["timeline"]["counts"]["congestion"], serde_json::json!([12, 12, 12]));
    let advice = &data["advice"][kind["advice"][0].as_str().unwrap()];
    assert!(
        !advice["meaning"].as_str().unwrap().is_empty() && !advice["remedy"].as_array().unwrap().is_empty()
    );
}

/// A finding of these drops, and its line.
fn found(subject: &str) -> (Explanation, String) {
    use crate::doctor::{Certainty, Evidence, Finding, Remedy, Severity};
    let finding = Finding {
        check: "tcp-listen-overflow",
        verify: "netdrop doctor --only tcp-listen-overflow".into(),
        ..Finding::new(Severity::Critical, subject, "3000 SYNs were dropped.")
            .because(Certainty::Likely, "The queue is full.")
            .shown_by([Evidence::value("queue", "129 of 128", "sock_diag")])
            .remedy(Remedy::host_sysctl("A longer queue.", &[("net.core.somaxconn", &4096)]))
            .remedy(Remedy::advice("Accept faster.").kept_by("in its settings"))
            .caution("More memory.")
            .explains(&["NO_SOCKET"])
    };
    (crate::doctor::explanation(&finding, &[]), crate::output::doctor::finding_line(&finding))
}

#[test]
fn findings_stand_by_the_drops_that_they_explain() {
    let page = page(
        |page| {
            for subject in ["listener :80", HOSTILE, "listener :80"] {
                let (explanation, line) = found(subject);
                page.finding(&explanation, line.as_bytes());
            }
            // What isn't a finding, or is as long as none, is left out.
            let (explanation, line) = found("x");
            page.finding(&explanation, b"{}");
            page.finding(&explanation, line.replace("queue", &"q".repeat(64 << 10)).as_bytes());
        },
        &samples::end(),
    );
    let data = data(&page);
    let told = serde_json::json!({
        "check": "tcp-listen-overflow", "severity": "critical", "subject": "listener :80", "sentence": "3,000 SYNs were dropped.",
        "evidence": [["queue", "129 of 128", "sock_diag"]], "cause": "The queue is full.", "certainty": "likely",
        "remedies": [
            { "what": "A longer queue.", "now": ["sysctl -w net.core.somaxconn=4096"], "is_command": true,
              "persistently": "printf 'net.core.somaxconn = 4096\\n' > /etc/sysctl.d/90-net-core-somaxconn.conf" },
            { "what": "Accept faster.", "now": [], "is_command": false, "persistently": "in its settings" },
        ],
        "caution": "More memory.", "verify": "netdrop doctor --only tcp-listen-overflow",
    });
    assert_eq!((&data["findings"][0], &data["findings"][1]["subject"]), (&told, &HOSTILE.into()));
    assert_eq!(data["findings"].as_array().unwrap().len(), 2);
    let kinds = data["kinds"].as_array().unwrap();
    let ties = |kind: &Value| kind["findings"].as_array().unwrap().len();
    assert!(
        kinds.iter().all(|kind| ties(kind) == if kind["reason"] == "NO_SOCKET" { 2 } else { 0 }),
        "{kinds:?}"
    );
}

#[test]
fn a_long_recording_makes_no_large_page() {
    let mut end = samples::end();
    let row = |number: u64| Row {
        function: Some(format!("function_{number}")),
        counts: Counts { packets: 10_000 - number, bytes: 1 },
        ..Row::default()
    };
    end.rows = (0..5000).map(row).collect();
    let line = format!("{{\"text\":\"{}\"}}", "x".repeat(1000));
    let page = page(
        |page| {
            for _ in 0..10_000 {
                Listener::drop(page, &samples::udp().drop(1), line.as_bytes());
            }
            Listener::drop(page, &samples::full().drop(1), "y".repeat(1 << 20).as_bytes());
            for _ in 0..3000 {
                page.summary(&Summary { interval: Duration::from_secs(1), ..samples::summary() });
            }
        },
        &end,
    );
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    let data = data(&page);
    assert_eq!((data["kinds"].as_array().unwrap().len(), &data["left"][0]), (1000, &4000.into()));
    let shown: u64 =
        data["kinds"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap()).sum();
    assert_eq!(shown + data["left"][1].as_u64().unwrap(), data["drops"].as_u64().unwrap());
    assert!(data["timeline"]["counts"]["congestion"].as_array().unwrap().len() <= 240);
}
