//! What the doctor found last, where it is asked: what Prometheus gets as `netdrop_finding` and `netdrop_doctor_checks`.

use opentelemetry_proto::tonic::metrics::v1::Metric;

use super::points::{Times, by, gauge};
use super::value::text;
use crate::export::Examination;

/// Both; without findings, the checks alone.
pub(super) fn metrics(times: &Times, examination: &Examination) -> impl Iterator<Item = Metric> {
    let Examination { series, checked, unchecked, .. } = examination;
    let finding = |[area, check, severity]: &[&'static str; 3]| {
        let attributes =
            [("netdrop.area", *area), ("netdrop.check", *check), ("netdrop.severity", *severity)];
        (attributes.map(|(key, value)| text(key, value)).into(), 1)
    };
    let findings = (!series.is_empty()).then(|| {
        gauge(
            times,
            "netdrop.finding",
            "1",
            "What the doctor found in its last examination; gone when it is fine again.",
            series.iter().map(finding),
        )
    });
    let checks = gauge(
        times,
        "netdrop.doctor.checks",
        "{check}",
        "Checks that were made in the doctor's last examination, and those that could not be.",
        by("netdrop.state", [("made", *checked as u64), ("unreadable", *unchecked as u64)]),
    );
    findings.into_iter().chain([checks])
}
