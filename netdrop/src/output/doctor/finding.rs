//! A finding as paragraphs.

use super::page::Page;
use crate::doctor::{Certainty, Finding};
use crate::units::grouped;

/// A finding as paragraphs of at most `width` columns; only commands are never broken, so that they can be copied.
pub fn finding(finding: &Finding, width: usize, color: bool) -> String {
    written(finding, Page { cuts: true, ..Page::new(width, color) })
}

/// The same where no terminal's edge cuts lines of evidence: in a file, in a pipe.
pub fn finding_uncut(finding: &Finding, width: usize, color: bool) -> String {
    written(finding, Page::new(width, color))
}

fn written(finding: &Finding, mut page: Page) -> String {
    page.head(finding);
    page.paragraph(2, &grouped(&finding.sentence));
    page.evidence(&finding.evidence);
    let sure = match finding.certainty {
        Certainty::Possible => "possibly",
        Certainty::Likely => "likely",
        Certainty::Certain => "certainly",
    };
    page.labelled("cause", &format!("({sure}) {}", finding.cause));
    for remedy in &finding.remedies {
        page.remedy(remedy);
    }
    if let Some(caution) = &finding.caution {
        page.labelled("caution", caution);
    }
    page.command("verify", &finding.verify);
    page.text
}
