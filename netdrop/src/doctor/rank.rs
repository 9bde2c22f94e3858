//! The worst first.

use super::finding::Finding;
use crate::order::InOrder as _;

/// By severity, then by packets a second; equal ones by name, so that two runs agree.
pub fn rank(findings: &mut [Finding]) {
    findings.order_by(|one, other| {
        (other.severity.cmp(&one.severity)).then_with(|| other.rate.total_cmp(&one.rate)).then_with(|| {
            (one.check, &one.subject, &one.netns).cmp(&(other.check, &other.subject, &other.netns))
        })
    });
}
