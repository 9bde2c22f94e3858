//! Call chains of drops, counted: for folded lines and flame graphs.

use std::collections::BTreeMap;

use super::histogram;
use super::words::Plain;
use crate::knowledge::Class;
use crate::model::{Drop, Row};

/// Chains that are told apart: a kernel has some hundred ways to a drop.
const MOST: usize = 20_000;
/// Stands for the chains beyond them.
const OTHERS: &str = "(other call chains)";

/// Drops by call chain, the outermost function first.
#[derive(Debug, Default)]
pub struct Stacks {
    /// The class that was seen first with a chain, and the drops.
    counts: BTreeMap<Vec<String>, (Class, u64)>,
    /// Drops that are counted by their function alone, as nobody asked for their call chain or it couldn't be kept.
    chainless: u64,
}

impl Stacks {
    /// Adds a drop and those that it stands for.
    pub fn add(&mut self, drop: &Drop<'_>) {
        let mut chain: Vec<String> = drop.context.stack.iter().rev().map(|frame| function(frame)).collect();
        if chain.is_empty() {
            self.chainless = self.chainless.saturating_add(drop.weight);
            chain.push(function(&of_site(drop)));
        }
        if self.counts.len() >= MOST && !self.counts.contains_key(&chain) {
            chain = vec![OTHERS.into()];
        }
        let (_, count) = self.counts.entry(chain).or_insert_with(|| (drop.class(), 0));
        *count = count.saturating_add(drop.weight);
    }

    /// Each chain, its class and its drops.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], Class, u64)> {
        self.counts.iter().map(|(chain, (class, count))| (chain.as_slice(), *class, *count))
    }

    /// All drops.
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, (_, _, count)| sum.saturating_add(count))
    }

    /// Drops without a call chain.
    pub fn chainless(&self) -> u64 {
        self.chainless
    }
}

/// The function of the drop's site, or the trap.
fn of_site(drop: &Drop<'_>) -> String {
    let site = Some(std::sync::Arc::new(drop.site.clone()));
    histogram::function(&Row { site, ..Row::default() }).to_owned()
}

/// A frame's function without its offset and module. A semicolon would end a frame, a line end the line.
fn function(frame: &str) -> String {
    let name = frame.rsplit_once("+0x").map_or(frame, |(name, _)| name);
    Plain(name).to_string().replace(';', ":")
}
