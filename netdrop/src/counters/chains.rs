//! From which hooks a chain is reached: its own, and those of the chains that jump to it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Names of hooks.
pub type Hooks = BTreeSet<String>;

/// Chains, and who jumps to whom.
#[derive(Debug)]
pub struct Chains<Chain> {
    hooks: HashMap<Chain, Hooks>,
    jumps: Vec<(Chain, Chain)>,
}

impl<Chain> Default for Chains<Chain> {
    fn default() -> Self {
        Self { hooks: HashMap::new(), jumps: Vec::new() }
    }
}

impl<Chain: Copy + Eq + Hash> Chains<Chain> {
    /// A chain that hangs on a hook.
    pub fn hang(&mut self, chain: Chain, hook: &str) {
        self.hooks.entry(chain).or_default().insert(hook.to_owned());
    }

    /// A rule of `from` that goes on in `to`.
    pub fn jump(&mut self, from: Chain, to: Chain) {
        self.jumps.push((from, to));
    }

    /// The hooks by chain. A chain that nothing leads to is left out.
    pub fn reached(mut self) -> HashMap<Chain, Hooks> {
        // Each round goes a jump further; kernels allow 16 of them in a row.
        let mut grown = true;
        while grown {
            grown = false;
            for (from, to) in &self.jumps {
                let Some(hooks) = self.hooks.get(from).cloned() else { continue };
                let reached = self.hooks.entry(*to).or_default();
                let before = reached.len();
                reached.extend(hooks);
                grown |= reached.len() > before;
            }
        }
        self.hooks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn through_any_number_of_jumps() {
        let mut chains = Chains::default();
        chains.hang("in", "input");
        chains.hang("through", "forward");
        // Backwards, and in a circle: a listing may say anything.
        for (from, to) in [("c", "d"), ("b", "c"), ("in", "b"), ("through", "c"), ("d", "c"), ("alone", "e")]
        {
            chains.jump(from, to);
        }
        let reached = chains.reached();
        let hooks = |chain| {
            reached.get(chain).map(|hooks| hooks.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(hooks("in").as_deref(), Some("input"));
        assert_eq!(hooks("b").as_deref(), Some("input"));
        assert_eq!(hooks("c").as_deref(), Some("forward input"));
        assert_eq!(hooks("d").as_deref(), Some("forward input"));
        assert_eq!((hooks("alone"), hooks("e")), (None, None));
    }
}
