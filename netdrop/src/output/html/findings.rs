//! What the doctor found, as the recording's lines tell.

use serde::{Deserialize, Serialize};

use crate::doctor::{Certainty, Evidence, Remedy};
use crate::model::{Explanation, Row};
use crate::output::doctor::told;
use crate::units::grouped;

/// Findings of a page; a run has some few.
const MOST: usize = 100;
/// Bytes of a finding's line; one with much evidence has some thousand.
const LONGEST: usize = 64 << 10;

/// Findings, each once, and what drops they explain.
#[derive(Debug, Default)]
pub struct Findings(Vec<(Explanation, Line)>);

/// What a `doctor.finding` has beside its explanation.
#[derive(Debug, Deserialize)]
struct Line {
    certainty: Certainty,
    evidence: Vec<Evidence>,
    remedies: Vec<Remedy>,
    caution: Option<String>,
    verify: String,
}

/// A finding, as the script reads it.
#[derive(Debug, Serialize)]
pub struct Shown {
    check: String,
    severity: String,
    subject: String,
    sentence: String,
    /// What, how it stood, where it was read.
    evidence: Vec<[String; 3]>,
    cause: String,
    certainty: Certainty,
    remedies: Vec<Helps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<String>,
    verify: String,
}

#[derive(Debug, Serialize)]
struct Helps {
    what: String,
    now: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistently: Option<String>,
    /// What keeps it so is a command, and no words.
    is_command: bool,
}

impl Findings {
    /// Takes the next one. What was found again, in a later run, is as it was found last.
    pub fn add(&mut self, explanation: &Explanation, line: &[u8]) {
        if line.len() > LONGEST {
            return;
        }
        let Ok(line) = serde_json::from_slice(line) else { return };
        let found = (explanation.clone(), line);
        let Explanation { check, subject, .. } = explanation;
        let has_room = self.0.len() < MOST;
        match self.0.iter_mut().find(|(one, _)| (&one.check, &one.subject) == (check, subject)) {
            Some(known) => *known = found,
            None if has_room => self.0.push(found),
            None => {}
        }
    }

    /// The places of those that explain drops of these rows.
    pub fn of(&self, rows: &[&Row]) -> Vec<usize> {
        let explains = |(_, (one, _)): &(usize, &(Explanation, Line))| rows.iter().any(|row| one.is_of(row));
        self.0.iter().enumerate().filter(explains).map(|(place, _)| place).collect()
    }

    /// All of them.
    pub fn into_shown(self) -> Vec<Shown> {
        self.0.into_iter().map(shown).collect()
    }
}

fn shown((explanation, line): (Explanation, Line)) -> Shown {
    let Explanation { check, severity, subject, sentence, cause, .. } = explanation;
    let Line { certainty, evidence, remedies, caution, verify } = line;
    let helps = |remedy: Remedy| {
        let is_command = remedy.is_kept_by_command();
        let Remedy { what, now, persistently } = remedy;
        Helps { what, now, persistently, is_command }
    };
    Shown {
        check,
        severity,
        subject,
        sentence: grouped(&sentence),
        evidence: evidence.iter().map(told).collect(),
        cause,
        certainty,
        remedies: remedies.into_iter().map(helps).collect(),
        caution,
        verify,
    }
}
