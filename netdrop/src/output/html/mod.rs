//! A recording as one HTML file that opens anywhere, offline: what happened when, why, whose it was and what to do.
//!
//! The file holds data as JSON and a script that draws it. Nothing from the recording is ever markup: the script sets text alone, and
//! the file's own policy forbids it to ask anybody for anything.

mod advice;
mod collect;
mod data;
mod findings;
mod thin;
mod top;

use std::fmt::Write as _;

use super::escape::markup;
use super::report::headline;
use crate::model::{Drop, Explanation, Host, Summary};
use crate::recording::Listener;
use collect::Collected;
use data::Data;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page under way.
#[derive(Debug, Default)]
pub struct Page {
    collected: Collected,
}

/// What a page tells beside drops.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The recordings' names.
    pub files: &'a [String],
    /// The machines.
    pub hosts: &'a [Host],
    /// How many runs the recordings hold.
    pub runs: usize,
}

impl Page {
    /// Appends the file.
    pub fn write(self, end: &Summary, about: About<'_>, out: &mut Vec<u8>) {
        let title = markup(&headline(end)).to_string();
        let data = Data::new(self.collected, end, about);
        let parts = [
            ("{{title}}", title.as_str()),
            ("{{style}}", STYLE),
            ("{{data}}", &inert(&data)),
            ("{{script}}", SCRIPT),
        ];
        let mut rest = PAGE;
        for (mark, text) in parts {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(text.as_bytes());
            rest = after;
        }
        out.extend_from_slice(rest.as_bytes());
    }
}

impl Listener for Page {
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]) {
        self.collected.drop(drop, line);
    }

    fn summary(&mut self, summary: &Summary) {
        self.collected.summary(summary);
    }

    fn finding(&mut self, finding: &Explanation, line: &[u8]) {
        self.collected.finding(finding, line);
    }
}

/// JSON that can't end the script element it stands in: these letters are in strings alone, and may be escaped there.
fn inert(data: &Data<'_>) -> String {
    let json = serde_json::to_string(data).expect("plain data");
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests;
