//! Any bytes as a recording, plain or compressed: what is read makes a table, a page, a picture, a comparison.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::aggregate::By;
use netdrop::compare::compare;
use netdrop::model::{Drop, Summary};
use netdrop::output::{About, Csv, FlameGraph, Json, Output, Page, Recorded, comparison_json};
use netdrop::recording::{Lines, Listener, Replay, Window, sum};

#[derive(Default)]
struct Reports {
    page: Page,
    picture: FlameGraph,
}

impl Listener for Reports {
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]) {
        Listener::drop(&mut self.page, drop, line);
        Output::drop(&mut self.picture, drop, &mut Vec::new());
    }

    fn summary(&mut self, summary: &Summary) {
        self.page.summary(summary);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut lines) = Lines::new("input", bytes) else { return };
    let by_flow = "reason,flow".parse().expect("both are dimensions");
    let mut replays = [By::default(), by_flow].map(|by| Replay::new(by, Window::default()));
    let mut reports = Reports::default();
    while let Ok(Some((line, text))) = lines.next_with_text() {
        let [by_site, by_flow] = &mut replays;
        if by_site.tell(&line, text, Some(&mut reports)).is_err() || by_flow.take(&line).is_err() {
            return;
        }
    }
    let mut ends = Vec::new();
    for mut replay in replays {
        if replay.finish().is_ok() {
            let mut out = Vec::new();
            let runs = replay.into_summaries();
            let comparison = compare(&runs, &runs);
            let recorded = Recorded { name: "input", hosts: &[] };
            comparison_json(&comparison, [recorded; 2], &mut out);
            let end = sum(runs);
            Json::new().end(&end, &mut out);
            Csv.end(&end, &mut out);
            assert!(out.ends_with(b"\n"));
            ends.push(end);
        }
    }
    if let Some(end) = ends.first() {
        let mut out = Vec::new();
        reports.page.write(end, About { files: &[], hosts: &[], runs: 1 }, &mut out);
        reports.picture.end(end, &mut out);
        assert!(out.ends_with(b"</svg>\n"));
    }
});
