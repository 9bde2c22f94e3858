//! What a check found.

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::{Area, Remedy, Severity};

/// How sure the cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// One cause of several that the evidence allows.
    Possible,
    /// The evidence speaks for it, and nothing against it.
    Likely,
    /// The evidence can't come from anything else.
    Certain,
}

/// Something that is wrong, why, and what helps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The check that found it; `netdrop explain` tells more of it.
    pub check: &'static str,
    /// Where on a packet's way.
    pub area: Area,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `listener 0.0.0.0:8080 of nginx(4242)`.
    pub subject: String,
    /// The network namespace; absent for what concerns the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// What is wrong, in one sentence.
    pub sentence: String,
    /// Packets a second that are lost, or the nearest that can be told of it; what findings are ranked by within a severity.
    pub rate: f64,
    /// It is of the time since the boot, and may be long over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// The likely cause.
    pub cause: String,
    /// How sure that is.
    pub certainty: Certainty,
    /// What helps; where there are several, the first is to be tried first.
    pub remedies: Vec<Remedy>,
    /// What to think of before the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<String>,
    /// A command that shows whether it helped.
    pub verify: String,
    /// Drop reasons, and functions where a kernel has no reasons, whose drops this explains.
    pub explains: Vec<&'static str>,
}

impl Finding {
    /// What is wrong with what. Who runs the check fills in its name, area, namespace and a command to verify.
    pub fn new(severity: Severity, subject: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            check: "",
            area: Area::Settings,
            severity,
            subject: subject.into(),
            netns: None,
            sentence: sentence.into(),
            rate: 0.0,
            history: false,
            evidence: Vec::new(),
            cause: String::new(),
            certainty: Certainty::Possible,
            remedies: Vec::new(),
            caution: None,
            verify: String::new(),
            explains: Vec::new(),
        }
    }

    /// So many packets a second are lost by it.
    #[must_use]
    pub fn losing(self, packets_per_second: f64) -> Self {
        Self { rate: packets_per_second, ..self }
    }

    /// What shows it.
    #[must_use]
    pub fn shown_by(mut self, evidence: impl IntoIterator<Item = impl Into<Evidence>>) -> Self {
        self.evidence.extend(evidence.into_iter().map(Into::into));
        self
    }

    /// Why it is so.
    #[must_use]
    pub fn because(self, certainty: Certainty, cause: impl Into<String>) -> Self {
        Self { certainty, cause: cause.into(), ..self }
    }

    /// What helps; another one when called again.
    #[must_use]
    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }

    /// What to think of before.
    #[must_use]
    pub fn caution(self, caution: impl Into<String>) -> Self {
        Self { caution: Some(caution.into()), ..self }
    }

    /// Drop reasons and functions whose drops it explains.
    #[must_use]
    pub fn explains(self, names: &[&'static str]) -> Self {
        Self { explains: names.to_vec(), ..self }
    }
}
