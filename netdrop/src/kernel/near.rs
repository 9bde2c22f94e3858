//! "Did you mean …?"

/// The most similar of `names`, if one is similar at all: one letter differs, or at most a third of them.
pub fn closest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let slack = (wanted.len() / 3).max(1);
    names
        // The distance is at least the difference in length: most names need no comparison.
        .filter(|name| name.len().abs_diff(wanted.len()) <= slack)
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, _)| *distance <= slack)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("udp_rvc", Some("udp_rcv"))]
    #[case("tcp_v4_rc", Some("tcp_v4_rcv"))]
    #[case("eth", None)]
    #[case("", None)]
    fn only_a_similar_name_is_suggested(#[case] wanted: &str, #[case] expected: Option<&str>) {
        assert_eq!(closest(wanted, ["udp_rcv", "tcp_v4_rcv", "icmp_rcv"].into_iter()), expected);
    }
}
