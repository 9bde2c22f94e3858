//! Reason numbers as published, for a kernel that tells neither in BTF nor in tracefs.
//!
//! Nearly every release renumbered them, so a table holds for its own release only: a wrong name is worse than a
//! number. The tables are of the long-term releases and of the newest one that netdrop is tested on.

const TABLE: &str = include_str!("built_in.tsv");

/// The (number, name) pairs of the release that `uname -r` names; none for one without a table.
pub fn reasons(release: &str) -> impl Iterator<Item = (u32, &'static str)> {
    let wanted = series(release).to_owned();
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let header = lines.next().unwrap_or("");
    let column = header.split('\t').position(|name| name == wanted).filter(|at| *at > 0);
    lines.filter_map(move |line| {
        let number = line.split('\t').nth(column?)?.parse().ok()?;
        Some((number, line.split('\t').next()?))
    })
}

/// `6.12` of `6.12.117+deb12-cloud-amd64`.
fn series(release: &str) -> &str {
    let end = release.match_indices(|c: char| !c.is_ascii_digit()).nth(1).map_or(release.len(), |(at, _)| at);
    &release[..end]
}
