//! How long tasks waited for CPU or memory: `/proc/pressure/cpu`, a cgroup's `memory.pressure` (Documentation/accounting/psi.rst).

/// Microseconds in which some task waited, since the boot or since the cgroup was made. Absent where the text has another form.
pub fn stalled(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case::cpu_of_5_10("some avg10=1.50 avg60=15.97 avg300=22.58 total=35305323650\n", Some(35_305_323_650))]
    #[case::cpu_of_7_x(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
        Some(7)
    )]
    #[case("full avg10=0.00 total=3\n", None)]
    #[case("some avg10=0.00\n", None)]
    #[case("", None)]
    fn the_time_of_some(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(stalled(text), expected);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(some |full |total=|[0-9]{0,22}|\n){0,9}") {
            let _ = stalled(&text);
        }
    }
}
