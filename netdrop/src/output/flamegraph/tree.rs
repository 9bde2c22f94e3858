//! Call chains as a tree, laid out: each function over the one that called it.

use std::collections::BTreeMap;

use super::super::stacks::Stacks;
use crate::knowledge::Class;

/// A function in one way up to it.
#[derive(Debug, Default)]
pub struct Tree<'a> {
    above: BTreeMap<&'a str, Tree<'a>>,
    /// Drops here and above.
    count: u64,
    /// Drops here, by class.
    own: BTreeMap<Class, u64>,
}

/// A box of the picture.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The function.
    pub name: &'a str,
    /// Boxes below it.
    pub depth: usize,
    /// Drops left of it.
    pub start: u64,
    /// Its drops.
    pub count: u64,
    /// Where chains end here: the class of most of them.
    pub tip: Option<Class>,
}

impl<'a> Tree<'a> {
    /// The tree of all chains.
    pub fn of(stacks: &'a Stacks) -> Self {
        let mut root = Self::default();
        for (chain, class, count) in stacks.iter() {
            let mut node = &mut root;
            node.count = node.count.saturating_add(count);
            for name in chain {
                node = node.above.entry(name).or_default();
                node.count = node.count.saturating_add(count);
            }
            let own = node.own.entry(class).or_default();
            *own = own.saturating_add(count);
        }
        root
    }

    /// All drops.
    pub fn total(&self) -> u64 {
        self.count
    }

    /// Every box, those below before those above, left before right.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        // A stack instead of recursion: a chain of a hostile recording may be as long as a line.
        let mut left = vec![("all", 0, 0, self)];
        while let Some((name, depth, start, node)) = left.pop() {
            let tip = node.own.iter().max_by_key(|(_, count)| **count).map(|(class, _)| *class);
            frames.push(Frame { name, depth, start, count: node.count, tip });
            let own: u64 = node.own.values().fold(0, |sum, count| sum.saturating_add(*count));
            let mut start = start.saturating_add(own);
            let mut above = Vec::new();
            for (name, child) in &node.above {
                above.push((*name, depth + 1, start, child));
                start = start.saturating_add(child.count);
            }
            left.extend(above.into_iter().rev());
        }
        frames
    }
}
