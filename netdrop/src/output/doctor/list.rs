//! The checks there are.

use super::page::{NARROWEST, Page};
use crate::doctor::Check;
use crate::output::explain::wrap;

/// The checks there are: name and what it looks for, in lines of `width`, if there is one; where that is narrow, below the name.
pub fn list(checks: &[&Check], width: Option<usize>) -> String {
    let names = checks.iter().map(|check| check.name.len()).max().unwrap_or(0) + 2;
    let mut page = Page::new(width.unwrap_or(usize::MAX), false);
    let is_narrow = page.width < names + NARROWEST;
    let indent = if is_narrow { 4 } else { names };
    for check in checks {
        let mut name = check.name;
        if is_narrow {
            page.line(std::mem::take(&mut name));
        }
        for line in wrap(check.about(), page.width - indent) {
            page.line(&format!("{:indent$}{line}", std::mem::take(&mut name)));
        }
    }
    page.text
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::doctor::all;

    #[test]
    fn a_list_fits_the_terminal() {
        let checks: Vec<_> = all().collect();
        for (width, lines_each) in [(None, 1..=1), (Some(100), 1..=4), (Some(40), 2..=9)] {
            let list = list(&checks, width);
            assert!(width.is_none_or(|width| list.lines().all(|line| line.width() <= width)), "{list}");
            assert!(lines_each.contains(&(list.lines().count() / checks.len())), "{list}");
        }
    }

    #[test]
    fn every_check_is_listed_with_what_it_looks_for() {
        let checks: Vec<_> = all().collect();
        let listed = list(&checks, None);
        assert_eq!(listed.lines().count(), checks.len());
        assert!(listed.lines().all(|line| line.ends_with('.')), "{listed}");
        assert!(list(&checks, Some(40)).lines().all(|line| line.width() <= 40));
    }
}
