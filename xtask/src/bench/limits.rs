//! What netdrop promises, and whether it held.

use super::table::table;

/// A promise about one figure.
pub struct Limit {
    pub what: &'static str,
    pub unit: &'static str,
    pub bound: Bound,
    /// `None`: could not be measured, which is no better than missed.
    pub measured: Option<f64>,
}

/// Which side of a figure is allowed.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Below what a peer needed in the same run, where it ran.
    LessThan(Option<f64>),
}

impl Limit {
    pub fn holds(&self) -> Option<bool> {
        let measured = self.measured?;
        match self.bound {
            Bound::AtMost(limit) => Some(measured <= limit),
            Bound::AtLeast(limit) => Some(measured >= limit),
            Bound::LessThan(limit) => Some(measured < limit?),
        }
    }

    fn row(&self) -> [String; 4] {
        // Small figures need more digits to be one.
        let figure =
            |value: f64| format!("{value:.digits$} {}", self.unit, digits = if value < 1.0 { 3 } else { 1 });
        let limit = match self.bound {
            Bound::AtMost(limit) => format!("≤ {}", figure(limit)),
            Bound::AtLeast(limit) => format!("≥ {}", figure(limit)),
            Bound::LessThan(Some(limit)) => format!("< {}", figure(limit)),
            Bound::LessThan(None) => "< –".to_owned(),
        };
        let measured = self.measured.map_or("–".to_owned(), figure);
        let verdict = match self.holds() {
            Some(true) => "ok",
            Some(false) => "over",
            None => "not measured",
        };
        [self.what.to_owned(), limit, measured, verdict.to_owned()]
    }
}

/// The limits as a table.
pub fn render(limits: &[Limit]) -> String {
    let rows: Vec<_> = limits.iter().map(Limit::row).collect();
    table(["what", "limit", "measured", "verdict"], &rows)
}

#[cfg(test)]
mod tests {
    use super::Bound::{AtLeast, AtMost, LessThan};
    use super::*;

    #[test]
    fn limits_hold_on_their_own_side() {
        let cases: [(Bound, Option<f64>, Option<bool>); 9] = [
            (AtMost(25.0), Some(25.0), Some(true)),
            (AtMost(25.0), Some(25.1), Some(false)),
            (AtMost(25.0), None, None),
            (AtLeast(1.0), Some(1.0), Some(true)),
            (AtLeast(1.0), Some(0.9), Some(false)),
            (LessThan(Some(60.0)), Some(59.0), Some(true)),
            (LessThan(Some(60.0)), Some(60.0), Some(false)),
            (LessThan(None), Some(1.0), None),
            (LessThan(Some(1.0)), None, None),
        ];
        for (index, (bound, measured, expected)) in cases.into_iter().enumerate() {
            let limit = Limit { what: "x", unit: "ns", bound, measured };
            assert_eq!(limit.holds(), expected, "case {index}");
        }
    }

    #[test]
    fn verdicts_are_words() {
        let limit = |measured| Limit { what: "cost", unit: "ns", bound: AtMost(25.0), measured };
        let text = render(&[limit(Some(20.04)), limit(Some(30.0)), limit(None)]);
        let expected = "\
| what | limit     | measured | verdict      |
|------|-----------|----------|--------------|
| cost | ≤ 25.0 ns | 20.0 ns  | ok           |
| cost | ≤ 25.0 ns | 30.0 ns  | over         |
| cost | ≤ 25.0 ns | –        | not measured |
";
        assert_eq!(text, expected);
    }
}
