//! What the daemon's doctor found last, for whoever reads: metrics, the status page, the API.

use std::sync::Arc;

use serde::Serialize;

use super::metrics::{Encoder, Kind};
use crate::doctor::{Diagnosis, Finding, Home, Unchecked, explanation};
use crate::model::{Explanation, Timestamp};
use crate::output::Clock;

/// Gives what the doctor found last; nothing before the first examination, and where the doctor is switched off.
pub type Found = Arc<dyn Fn() -> Option<Arc<Examination>> + Send + Sync>;

/// An examination, in the forms that are asked for.
#[derive(Debug, Default)]
pub struct Examination {
    /// As `/api/v1/findings` gives it: a `doctor.report` of the schema.
    pub json: String,
    /// What it says of drops.
    pub explanations: Arc<[Explanation]>,
    /// Area, check and severity of what was found, each once.
    pub(super) series: Vec<[&'static str; 3]>,
    pub(super) checked: usize,
    pub(super) unchecked: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    v: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    seconds: f64,
    checked: usize,
    findings: &'a [Finding],
    unchecked: &'a [Unchecked],
}

impl Examination {
    /// Of what was found in these namespaces, in so many seconds until now.
    pub fn new(diagnosis: &Diagnosis, homes: &[Home], seconds: f64) -> Self {
        let Diagnosis { findings, unchecked, checked } = diagnosis;
        let mut time = Vec::new();
        Clock::utc().push(Timestamp::now(), &mut time);
        let of = |finding: &Finding| [finding.area.as_str(), finding.check, finding.severity.as_str()];
        let mut series: Vec<_> = findings.iter().map(of).collect();
        series.sort_unstable();
        series.dedup();
        let time = Some(String::from_utf8_lossy(&time).into_owned());
        let explaining = findings.iter().filter(|finding| !finding.explains.is_empty());
        Self {
            json: json(&Report { time, seconds, ..report(findings, unchecked, *checked) }),
            explanations: explaining.map(|finding| explanation(finding, homes)).collect(),
            series,
            checked: *checked,
            unchecked: unchecked.len(),
        }
    }

    /// Before the first one.
    pub fn none() -> Self {
        Self { json: json(&report(&[], &[], 0)), ..Self::default() }
    }

    pub(super) fn encode(&self, to: &mut Encoder) {
        let help = "What the doctor found in its last examination; gone when it is fine again.";
        to.metric("netdrop_finding", Kind::Gauge, "", help);
        for [area, check, severity] in &self.series {
            to.sample([("area", *area), ("check", check), ("severity", severity)], 1);
        }
        let help = "Checks that were made in the doctor's last examination, and those that could not be.";
        to.metric("netdrop_doctor_checks", Kind::Gauge, "", help);
        for (state, count) in [("made", self.checked), ("unreadable", self.unchecked)] {
            to.sample([("state", state)], count);
        }
    }
}

fn report<'a>(findings: &'a [Finding], unchecked: &'a [Unchecked], checked: usize) -> Report<'a> {
    Report { v: 1, kind: "doctor.report", time: None, seconds: 0.0, checked, findings, unchecked }
}

fn json(report: &Report<'_>) -> String {
    serde_json::to_string(report).expect("it is strings and numbers alone") + "\n"
}
