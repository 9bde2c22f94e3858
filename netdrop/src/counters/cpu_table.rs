//! Tables of the kernel with a line of names and a line of numbers for each CPU: `/proc/net/stat/nf_conntrack`, `arp_cache`, `ndisc_cache`,
//! `rt_cache` (`lnstat(8)`).

/// The sums over all CPUs, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTable(Vec<(String, u64)>);

/// What isn't such a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} isn't made of hexadecimal numbers, one for each name of the first line")]
pub struct CpuTableError(usize);

impl CpuTable {
    /// Names by which the kernels call columns differ (`searched`, then `clashres`), and so does their order: they are found by name.
    ///
    /// # Errors
    /// When a line has other than hexadecimal numbers, or fewer than there are names.
    pub fn parse(text: &str) -> Result<Self, CpuTableError> {
        let mut lines = text.lines().enumerate();
        let names = lines.next().map_or("", |(_, line)| line);
        let mut sums: Vec<_> = names.split_ascii_whitespace().map(|name| (name.to_owned(), 0_u64)).collect();
        for (index, line) in lines {
            let mut numbers =
                line.split_ascii_whitespace().map(|number| u64::from_str_radix(number, 16).ok());
            for (name, sum) in &mut sums {
                let number = numbers.next().flatten().ok_or(CpuTableError(index + 1))?;
                // The number of entries is the table's, and the same in each line.
                *sum = if name == "entries" { number } else { sum.saturating_add(number) };
            }
        }
        Ok(Self(sums))
    }

    /// A column's sum; absent where this kernel has none of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, sum)| *sum)
    }
}

impl<const N: usize> From<[(&str, u64); N]> for CpuTable {
    fn from(sums: [(&str, u64); N]) -> Self {
        Self(sums.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_5_10: &str = "\
entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000007  00000000 00000000 00000000 00000003 000001a5 00000000 00000000 00000000 00000002 0000000a 00000001 00000000  00000000 00000000 00000000 00000000
00000007  00000000 00000000 00000000 00000001 00000100 00000000 00000000 00000000 00000000 00000006 00000000 00000000  00000000 00000000 00000000 00000000
";
    const OF_6_18: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000007  00000004 00000000 00000000 00000003 000001a5 00000000 00000009 00000000 00000002 0000000a 00000001 00000000  00000000 00000000 00000000 00000000
";
    const NEIGHBOURS: &str = "\
entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
00000002 00001c1a 00001b31 00000002   00005661 0000012c 00000013   00000000         00000000         000013b8         00000000       00000024            00000001
00000002 00001a21 00001b08 00000000   00005327 000001e3 0000000b   00000000         00000000         00000000         00000000       0000001e            00000000
";

    #[test]
    fn columns_have_names_and_lines_are_added_up() {
        let table = CpuTable::parse(OF_5_10).unwrap();
        let of = |name| table.get(name);
        assert_eq!((of("entries"), of("drop"), of("insert_failed")), (Some(7), Some(16), Some(2)));
        assert_eq!((of("clashres"), of("searched")), (None, Some(0)));
        let table = CpuTable::parse(OF_6_18).unwrap();
        assert_eq!((table.get("clashres"), table.get("early_drop")), (Some(4), Some(1)));
        let table = CpuTable::parse(NEIGHBOURS).unwrap();
        assert_eq!((table.get("unresolved_discards"), table.get("table_fulls")), (Some(0x42), Some(1)));
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(CpuTable::parse("a b\n1\n"), Err(CpuTableError(2)));
        assert_eq!(CpuTable::parse("a\n1\nx\n"), Err(CpuTableError(3)));
        assert_eq!(CpuTable::parse(""), Ok(CpuTable::default()));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[a-f0-9 \n]{0,200}") {
            let _ = CpuTable::parse(&text);
        }
    }
}
